"""The conformance suite of leases: tokens, heartbeats, loss; how to use it: `queue_suite`."""

from __future__ import annotations

import threading

import pytest
from msgspec.structs import replace

from headrace.engine import Engine
from headrace.errors import EngineClosed, LeaseLost
from headrace.record import Failure, State
from headrace.testing.clock import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    apply,
    bury,
    claim,
    claim_one,
    commit,
    fail,
    job_id,
    labels,
    maintain,
    message,
    record,
    release,
    send,
    settle,
    state,
)
from headrace.write import (
    CancelJobs,
    Extend,
    Lease,
    PauseQueue,
    Put,
    Reclaim,
    RetryJobs,
    Send,
    Settle,
    Settlement,
)

CRASH = Failure(cause="crash", message="exit code 139", logs=("about to divide",))


def lose(engine: Engine, holder: str = "worker-1") -> None:
    """Let a worker die, and its supervisor tell."""
    apply(engine, Reclaim(holder, CRASH))


class LeaseSuite:
    """The lease protocol: who may settle, and what becomes of lost leases."""

    def test_a_claim_is_named_after_its_holder(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine, holder="host.example-17-ab")
        assert lease.claim.startswith("host.example-17-ab.")
        assert record(engine, "a").holder == "host.example-17-ab"
        assert record(engine, "a").state is State.RUNNING

    def test_a_first_claim_is_the_first_attempt(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        assert (lease.attempt, lease.lost, lease.job_id) == (1, 0, job_id("a"))

    def test_the_token_only_grows(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        leases = [claim_one(engine)]
        release(engine, leases[-1])
        leases.append(claim_one(engine))
        fail(engine, leases[-1])
        leases.append(claim_one(engine, seconds=10))
        clock.advance(11)
        maintain(engine)
        leases.append(claim_one(engine))
        bury(engine, leases[-1])
        apply(engine, RetryJobs((job_id("a"),)))
        leases.append(claim_one(engine))
        tokens = [lease.token for lease in leases]
        assert tokens == sorted(set(tokens))
        assert len({lease.claim for lease in leases}) == len(leases)

    def test_only_the_holder_of_the_newest_lease_settles(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        stale = claim_one(engine, seconds=10)
        clock.advance(11)
        maintain(engine)
        current = claim_one(engine, holder="worker-2")
        assert settle(engine, stale).lost == {job_id("a")}
        assert state(engine, "a") is State.RUNNING
        assert settle(engine, current).lost == frozenset()
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_lease_is_over_when_its_job_is_ready_again(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        stale = claim_one(engine, seconds=10)
        clock.advance(11)
        maintain(engine)
        assert settle(engine, stale).lost == {job_id("a")}
        assert state(engine, "a") is State.READY

    @pytest.mark.parametrize("change", ["token", "claim"])
    def test_token_and_claim_are_both_compared(self, engine: Engine, change: str) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        forged = (
            replace(lease, token=lease.token + 1)
            if change == "token"
            else replace(lease, claim=f"{lease.claim}x")
        )
        assert settle(engine, forged).lost == {job_id("a")}
        assert apply(engine, Extend((forged,), 30.0)).lost == {job_id("a")}
        assert state(engine, "a") is State.RUNNING
        assert settle(engine, lease).lost == frozenset()

    def test_a_job_is_settled_once(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        settle(engine, lease)
        assert bury(engine, lease).lost == {job_id("a")}
        assert state(engine, "a") is State.SUCCEEDED

    def test_the_first_of_two_settlements_counts(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        twice = tuple(Settlement(lease=lease, to=to) for to in (State.SUCCEEDED, State.DEAD))
        assert apply(engine, Settle(twice)).lost == {job_id("a")}
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_stale_settlement_leaves_the_others(self, engine: Engine) -> None:
        send(engine, "a", "b")
        one, two = claim(engine, 2)
        settle(engine, one)
        settlements = tuple(Settlement(lease=lease, to=State.DEAD) for lease in (one, two))
        assert apply(engine, Settle(settlements)).lost == {job_id("a")}
        assert state(engine, "a") is State.SUCCEEDED
        assert state(engine, "b") is State.DEAD

    def test_a_strict_settle_takes_the_whole_commit_with_it(self, engine: Engine) -> None:
        send(engine, "a", "b")
        one, two = claim(engine, 2)
        settle(engine, one)
        settlements = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in (two, one))
        with pytest.raises(LeaseLost):
            commit(
                engine,
                Put("effect", b"1"),
                Settle(settlements, strict=True),
                Send((message("c"),)),
            )
        assert state(engine, "b") is State.RUNNING
        assert state(engine, "c") is None
        assert engine.load("effect").wait(PATIENCE) is None

    def test_a_heartbeat_keeps_a_lease(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        lease = claim_one(engine, seconds=10)
        for _ in range(3):
            clock.advance(8)
            assert apply(engine, Extend((lease,), 10.0)).lost == frozenset()
            assert maintain(engine).reclaimed == 0
        assert settle(engine, lease).lost == frozenset()

    def test_a_lease_without_heartbeats_expires(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        lease = claim_one(engine, seconds=10)
        clock.advance(9)
        assert maintain(engine).reclaimed == 0
        clock.advance(2)
        assert maintain(engine).reclaimed == 1
        assert apply(engine, Extend((lease,), 10.0)).lost == {job_id("a")}
        assert state(engine, "a") is State.READY
        kept = record(engine, "a")
        assert (kept.lost, kept.attempt) == (1, 0)
        assert [(entry.failure.cause, entry.counted) for entry in kept.history] == [
            ("lease-lost", False)
        ]
        assert kept.history[0].failure.holder == "worker-1"
        again = claim_one(engine)
        assert (again.attempt, again.lost) == (1, 1)

    def test_a_heartbeat_of_a_job_nobody_knows_is_lost(self, engine: Engine) -> None:
        lease = Lease(message=message("a"), token=1, claim="worker-1.0", place=1)
        assert apply(engine, Extend((lease,), 10.0)).lost == {job_id("a")}
        assert settle(engine, lease).lost == {job_id("a")}

    def test_a_message_may_say_how_long_its_lease_is(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "long", lease=100.0)
        send(engine, "short")
        leases = claim(engine, 2, seconds=10)
        clock.advance(11)
        maintain(engine)
        assert state(engine, "long") is State.RUNNING
        assert state(engine, "short") is State.READY
        apply(engine, Extend(leases[:1], 10.0))
        clock.advance(90)
        maintain(engine)
        assert state(engine, "long") is State.RUNNING

    def test_a_step_of_the_wall_clock_costs_nobody_a_lease(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        lease = claim_one(engine, seconds=10)
        for seconds in (86_400.0, -172_800.0):
            clock.step(seconds)
            assert maintain(engine).reclaimed == 0
        clock.advance(11)
        assert maintain(engine).reclaimed == 1
        assert settle(engine, lease).lost == {job_id("a")}

    def test_a_release_is_not_counted(self, engine: Engine) -> None:
        send(engine, "a")
        for _ in range(5):
            lease = claim_one(engine)
            assert (lease.attempt, lease.lost) == (1, 0)
            release(engine, lease)
        kept = record(engine, "a")
        assert (kept.state, kept.attempt, kept.lost) == (State.READY, 0, 0)
        assert kept.history == ()

    def test_a_released_job_keeps_its_place(self, engine: Engine) -> None:
        send(engine, "a", "b")
        release(engine, claim_one(engine))
        assert labels(claim(engine, 2)) == ["a", "b"]

    def test_a_failed_attempt_counts_and_a_snooze_does_not(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine), delay=5)
        clock.advance(5)
        snooze = Failure(cause="snooze", message="not yet")
        lease = claim_one(engine)
        settle(engine, lease, State.SCHEDULED, counted=False, delay=5, failure=snooze)
        clock.advance(5)
        assert (lease.attempt, claim_one(engine).attempt) == (2, 2)
        history = record(engine, "a").history
        assert [(e.number, e.failure.cause, e.counted) for e in history] == [
            (1, "error", True),
            (2, "snooze", False),
        ]

    def test_a_retry_without_delay_is_ready(self, engine: Engine) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine))
        assert state(engine, "a") is State.READY
        assert claim_one(engine).attempt == 2


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


class WaitingLeaseSuite:
    """Leases that wait for a first job."""

    def test_a_waiting_lease_gets_the_next_job(self, engine: Engine) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        assert not reply.done
        send(engine, "a", "b")
        assert labels(reply.wait(PATIENCE)) == ["a", "b"]

    def test_a_waiting_lease_is_served_from_another_thread(self, engine: Engine) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        sender = threading.Thread(target=send, args=(engine, "a"))
        sender.start()
        assert labels(reply.wait(PATIENCE)) == ["a"]
        sender.join()

    def test_a_lease_does_not_wait_when_there_is_work(self, engine: Engine) -> None:
        send(engine, "a")
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        assert labels(reply.wait(PATIENCE)) == ["a"]

    def test_a_waiting_lease_ends_empty(self, engine: Engine, clock: ManualClock) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=0.5)
        clock.advance(1)
        assert reply.wait(PATIENCE) == ()

    def test_a_job_that_becomes_due_ends_the_wait(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", delay=10.0)
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=3600)
        clock.advance(10)
        assert labels(reply.wait(PATIENCE)) == ["a"]

    def test_a_resumed_queue_ends_the_wait(self, engine: Engine) -> None:
        send(engine, "a")
        apply(engine, PauseQueue("default"))
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        apply(engine, PauseQueue("default", paused=False))
        assert labels(reply.wait(PATIENCE)) == ["a"]

    def test_one_job_goes_to_one_of_many_waiting(self, engine: Engine) -> None:
        replies = [
            engine.lease(["default"], limit=1, seconds=30, holder=f"w{n}", wait=60)
            for n in range(4)
        ]
        names = ["a", "b", "c", "d"]
        for name in names:
            send(engine, name)
        got = [labels(reply.wait(PATIENCE)) for reply in replies]
        assert sorted(got) == [[name] for name in names]

    def test_closing_ends_the_wait(self, engine: Engine) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        engine.close().wait(PATIENCE)
        try:
            assert reply.wait(PATIENCE) == ()
        except EngineClosed:
            assert reply.done
