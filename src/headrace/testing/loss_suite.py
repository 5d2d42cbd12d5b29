"""The conformance suite of runs that are lost or called off; how to use it: `queue_suite`."""

from __future__ import annotations

import pytest

from headrace.engine import Engine
from headrace.record import Failure, State
from headrace.testing.clock import ManualClock
from headrace.testing.steps import (
    apply,
    claim,
    claim_one,
    fail,
    job_id,
    labels,
    maintain,
    record,
    release,
    send,
    settle,
    state,
)
from headrace.write import (
    LOST_LEASES_LIMIT,
    CancelJobs,
    Extend,
    Lease,
    Reclaim,
    RetryJobs,
)

CRASH = Failure(cause="crash", message="exit code 139", logs=("about to divide",))


def lose(engine: Engine, holder: str = "worker-1") -> None:
    """Let a worker die, and its supervisor tell."""
    apply(engine, Reclaim(holder, CRASH))


class LostLeaseSuite:
    """What is done about workers that die."""

    def test_a_dead_worker_returns_its_jobs_at_once(self, engine: Engine) -> None:
        send(engine, "a", "b", "c")
        claim(engine, 2, holder="dead")
        alive = claim(engine, 1, holder="alive")
        answer = apply(engine, Reclaim("dead", CRASH))
        assert sorted(labels(answer.returned)) == ["a", "b"]
        assert answer.dead == ()
        assert state(engine, "a") is State.READY
        assert settle(engine, alive[0]).lost == frozenset()
        lost = record(engine, "a").history[0]
        assert (lost.failure.cause, lost.failure.message) == ("crash", "exit code 139")
        assert lost.failure.holder == "dead"
        assert not lost.counted

    def test_what_no_job_is_to_blame_for_is_not_counted(self, engine: Engine) -> None:
        send(engine, "a", "b")
        for _ in range(2 * LOST_LEASES_LIMIT):
            assert len(claim(engine, 2)) == 2  # nor is either suspected, and given alone
            answer = apply(engine, Reclaim("worker-1", CRASH, counted=False))
            assert sorted(labels(answer.returned)) == ["a", "b"]
        kept = record(engine, "a")
        assert (kept.state, kept.lost, kept.attempt) == (State.READY, 0, 0)
        assert [entry.failure.cause for entry in kept.history] == ["crash"] * 2 * LOST_LEASES_LIMIT
        assert not kept.history[0].counted

    def test_a_reclaimed_lease_is_fenced(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        lose(engine)
        assert settle(engine, lease).lost == {job_id("a")}
        assert apply(engine, Extend((lease,), 30.0)).lost == {job_id("a")}

    def test_reclaiming_from_a_stranger_changes_nothing(self, engine: Engine) -> None:
        assert apply(engine, Reclaim("nobody", CRASH)).returned == ()

    @pytest.mark.parametrize(
        ("dead", "alive"),
        [("w1", "w10"), ("w1", "w1.2"), ("w_", "wx"), ("w%", "w1"), ("w", "W"), ("w1", "w1-2")],
    )
    def test_similar_names_are_different_workers(
        self, engine: Engine, dead: str, alive: str
    ) -> None:
        send(engine, "a")
        claim_one(engine, holder=alive)
        assert apply(engine, Reclaim(dead, CRASH)).returned == ()
        assert state(engine, "a") is State.RUNNING

    def test_a_suspect_is_given_alone(self, engine: Engine) -> None:
        send(engine, "a", "b", "c")
        claim(engine, 2)
        lose(engine)
        answers = []
        while leases := claim(engine, 5, holder="worker-2"):
            answers.append(labels(leases))
        assert sorted(answers) == [["a"], ["b"], ["c"]]

    def test_a_suspect_waits_for_no_one_for_ever(self, engine: Engine) -> None:
        send(engine, "a")
        claim_one(engine)
        lose(engine)
        send(engine, *[f"n{n}" for n in range(50)])
        seen = [label for _ in range(5) for label in labels(claim(engine, 5))]
        assert "a" in seen

    def test_a_suspect_that_is_released_stays_one(self, engine: Engine) -> None:
        send(engine, "a", "b")
        claim(engine, 2)
        lose(engine)
        lease = claim_one(engine)
        release(engine, lease)
        assert len(claim(engine, 5)) == 1

    def test_the_third_lost_lease_is_the_last(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="g")
        for _ in range(2):
            claim_one(engine)
            lose(engine)
            assert state(engine, "a") is State.READY
        claim_one(engine)
        answer = apply(engine, Reclaim("worker-1", CRASH))
        assert (answer.returned, answer.dead) == ((), (job_id("a"),))
        ended = record(engine, "a")
        assert (ended.state, ended.lost, ended.attempt) == (State.DEAD, 3, 0)
        assert ended.failure is not None
        assert ended.failure.cause == "crash-loop"
        assert ended.failure.message == CRASH.message
        assert ended.failure.logs == CRASH.logs
        assert ended.failure.holder == "worker-1"
        assert [entry.counted for entry in ended.history] == [False] * 3
        assert labels(claim(engine, 5)) == ["b"]

    def test_three_expired_leases_are_a_crash_loop(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        for _ in range(3):
            claim_one(engine, seconds=10)
            clock.advance(11)
            maintain(engine)
        ended = record(engine, "a")
        assert ended.state is State.DEAD
        assert ended.failure is not None
        assert ended.failure.cause == "crash-loop"

    def test_releases_and_failures_are_no_lost_leases(self, engine: Engine) -> None:
        send(engine, "a")
        for _ in range(4):
            release(engine, claim_one(engine))
            fail(engine, claim_one(engine))
        kept = record(engine, "a")
        assert (kept.state, kept.lost, kept.attempt) == (State.READY, 0, 4)

    def test_a_redriven_job_is_no_suspect(self, engine: Engine) -> None:
        send(engine, "a")
        for _ in range(3):
            claim_one(engine)
            lose(engine)
        apply(engine, RetryJobs((job_id("a"),)))
        send(engine, "b")
        leases = claim(engine, 5)
        assert sorted(labels(leases)) == ["a", "b"]
        assert {(lease.attempt, lease.lost) for lease in leases} == {(1, 0)}


class CancelRunningSuite:
    """Cancelling what runs: the worker is asked, and a run that ends first wins."""

    def ask(self, engine: Engine) -> Lease:
        """Start a job and ask to cancel it."""
        send(engine, "a")
        lease = claim_one(engine, seconds=10)
        answer = apply(engine, CancelJobs((job_id("a"),), reason="no longer needed"))
        assert answer.states == {job_id("a"): State.RUNNING}
        assert answer.changed == {job_id("a")}
        return lease

    def expect_cancelled(self, engine: Engine) -> None:
        """See that the job ended as it was asked to."""
        ended = record(engine, "a")
        assert ended.state is State.CANCELLED
        assert ended.failure is not None
        assert ended.failure.cause == "cancelled"
        assert claim(engine) == ()

    def test_the_next_heartbeat_tells(self, engine: Engine) -> None:
        lease = self.ask(engine)
        assert record(engine, "a").cancel_asked
        answer = apply(engine, Extend((lease,), 10.0))
        assert answer.lost == frozenset()
        assert answer.cancelled == {job_id("a")}

    def test_asking_again_changes_nothing(self, engine: Engine) -> None:
        self.ask(engine)
        answer = apply(engine, CancelJobs((job_id("a"),), reason="really"))
        assert answer.changed == frozenset()
        assert answer.states == {job_id("a"): State.RUNNING}

    def test_the_worker_obeys(self, engine: Engine) -> None:
        lease = self.ask(engine)
        failure = Failure(cause="cancelled", message="no longer needed")
        settle(engine, lease, State.CANCELLED, failure=failure)
        self.expect_cancelled(engine)

    @pytest.mark.parametrize("to", [State.SUCCEEDED, State.DEAD])
    def test_a_run_that_ends_first_wins(self, engine: Engine, to: State) -> None:
        settle(engine, self.ask(engine), to)
        assert state(engine, "a") is to
        assert not record(engine, "a").cancel_asked

    def test_a_run_to_be_retried_is_cancelled(self, engine: Engine) -> None:
        fail(engine, self.ask(engine), delay=5)
        self.expect_cancelled(engine)

    def test_a_released_run_is_cancelled(self, engine: Engine) -> None:
        release(engine, self.ask(engine))
        self.expect_cancelled(engine)

    def test_a_lost_run_is_cancelled(self, engine: Engine, clock: ManualClock) -> None:
        self.ask(engine)
        clock.advance(11)
        maintain(engine)
        self.expect_cancelled(engine)

    def test_a_reclaimed_run_is_cancelled(self, engine: Engine) -> None:
        self.ask(engine)
        assert apply(engine, Reclaim("worker-1", CRASH)).returned == ()
        self.expect_cancelled(engine)
