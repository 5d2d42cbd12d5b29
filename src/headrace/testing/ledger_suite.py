"""The conformance suite of the Ledger role: records, changes and lists; see `queue_suite`."""

from __future__ import annotations

import msgspec
import pytest

from headrace.engine import Engine
from headrace.errors import HeadraceError
from headrace.message import Retention
from headrace.record import (
    FIRST_ATTEMPTS_KEPT,
    LAST_ATTEMPTS_KEPT,
    Failure,
    Filter,
    Record,
    State,
)
from headrace.testing.clock import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    apply,
    bury,
    claim,
    claim_one,
    depth,
    fail,
    job_id,
    labels,
    maintain,
    record,
    send,
    settle,
    state,
)
from headrace.write import CancelJobs, EditJobs, PurgeJobs, RetryJobs

DAY = 86_400.0


class RecordSuite:
    """What the ledger tells of one job."""

    def test_a_new_job(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        assert record(engine, "a") == Record(
            message=record(engine, "a").message, state=State.READY, accepted_at=clock.now()
        )

    def test_unknown_ids_are_missing(self, engine: Engine) -> None:
        send(engine, "a")
        ids = [job_id("a"), job_id("b"), "not even an id", ""]
        assert set(engine.get(ids).wait(PATIENCE)) == {job_id("a")}
        assert engine.states(ids).wait(PATIENCE) == {job_id("a"): State.READY}
        assert engine.get([]).wait(PATIENCE) == {}

    def test_many_states_at_once(self, engine: Engine) -> None:
        names = [f"{n}" for n in range(2000)]
        send(engine, *names)
        found = engine.states([job_id(name) for name in names]).wait(PATIENCE)
        assert len(found) == 2000
        assert set(found.values()) == {State.READY}

    def test_a_success_keeps_its_result(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        clock.advance(3)
        value = {"häuser ✓": [1, 2.5, 1e-7, 0.1, 2**63, None, True, "\0"]}
        settle(engine, lease, State.SUCCEEDED, result=msgspec.Raw(msgspec.json.encode(value)))
        ended = record(engine, "a")
        assert ended.state is State.SUCCEEDED
        assert ended.result is not None
        assert msgspec.json.decode(ended.result) == value
        assert (ended.attempt, ended.holder, ended.failure) == (1, "", None)
        assert ended.finished_at == clock.now()
        assert ended.kept_until == clock.now() + 7 * DAY

    def test_a_run_tells_how_long_it_took(self, engine: Engine) -> None:
        send(engine, "a", "b")
        one, other = claim(engine, 2)
        slow = Failure(cause="error", seconds=0.5)
        settle(engine, one, State.SCHEDULED, failure=slow, delay=0.0)
        settle(engine, claim_one(engine), State.SUCCEEDED, seconds=1.25)
        settle(engine, other, State.SUCCEEDED)
        ended = record(engine, "a")
        assert ended.seconds == pytest.approx(1.25)
        assert [entry.failure.seconds for entry in ended.history] == [0.5]
        assert record(engine, "b").seconds is None

    def test_a_success_after_a_failure_is_no_failure(self, engine: Engine) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine))
        settle(engine, claim_one(engine))
        ended = record(engine, "a")
        assert (ended.state, ended.attempt, ended.failure) == (State.SUCCEEDED, 2, None)
        assert [entry.failure.cause for entry in ended.history] == ["error"]

    def test_a_dead_letter_keeps_its_evidence(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        failure = Failure(
            cause="attempts-spent",
            type="ValueError",
            message="naïve \0 text ✓",
            traceback="Traceback …\n  line",
            logs=("one", "two"),
            holder="worker-1",
        )
        settle(engine, claim_one(engine), State.DEAD, failure=failure)
        ended = record(engine, "a")
        assert (ended.state, ended.attempt, ended.result) == (State.DEAD, 1, None)
        assert ended.failure == failure
        assert ended.kept_until == clock.now() + 30 * DAY
        (entry,) = ended.history
        assert (entry.number, entry.ended_at, entry.failure, entry.counted) == (
            1,
            clock.now(),
            failure,
            True,
        )

    def test_a_failed_job_tells_why(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine), delay=10)
        waiting = record(engine, "a")
        assert (waiting.state, waiting.run_at) == (State.SCHEDULED, clock.now() + 10)
        assert waiting.attempt == 1
        assert waiting.failure is not None
        assert waiting.failure.cause == "error"
        assert waiting.holder == ""


class ChangeSuite:
    """What people and programs change."""

    @pytest.mark.parametrize("delay", [None, 60.0])
    def test_a_waiting_job_is_cancelled_at_once(
        self, engine: Engine, clock: ManualClock, delay: float | None
    ) -> None:
        send(engine, "a", delay=delay)
        answer = apply(engine, CancelJobs((job_id("a"), job_id("?")), reason="mistake"))
        assert answer.states == {job_id("a"): State.CANCELLED}
        assert answer.changed == {job_id("a")}
        ended = record(engine, "a")
        assert ended.failure is not None
        assert (ended.failure.cause, ended.failure.message) == ("cancelled", "mistake")
        assert ended.finished_at == clock.now()
        assert ended.kept_until == clock.now() + 7 * DAY
        assert ended.run_at is None
        clock.advance(61)
        assert claim(engine) == ()

    def test_what_is_finished_is_not_cancelled(self, engine: Engine) -> None:
        send(engine, "a")
        settle(engine, claim_one(engine))
        answer = apply(engine, CancelJobs((job_id("a"),)))
        assert answer.states == {job_id("a"): State.SUCCEEDED}
        assert answer.changed == frozenset()
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_scheduled_retry_is_made_due(self, engine: Engine) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine), delay=600)
        answer = apply(engine, RetryJobs((job_id("a"),)))
        assert answer.states == {job_id("a"): State.READY}
        assert answer.changed == {job_id("a")}
        assert record(engine, "a").run_at is None
        assert claim_one(engine).attempt == 2

    def test_a_dead_job_is_redriven_with_its_history(self, engine: Engine) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine))
        bury(engine, claim_one(engine))
        answer = apply(engine, RetryJobs((job_id("a"), job_id("?"))))
        assert answer.states == {job_id("a"): State.READY}
        assert answer.changed == {job_id("a")}
        back = record(engine, "a")
        assert (back.state, back.attempt, back.lost) == (State.READY, 0, 0)
        assert (back.finished_at, back.kept_until) == (None, None)
        causes = [entry.failure.cause for entry in back.history]
        assert causes == ["error", "attempts-spent", "redriven"]
        assert not back.history[-1].counted
        assert claim_one(engine).attempt == 1
        assert depth(engine).depth == 1

    def test_of_a_long_history_the_beginning_and_the_end_are_kept(self, engine: Engine) -> None:
        send(engine, "a")
        limit = FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT
        for number in range(1, limit + 11):
            if number == limit + 1:
                assert len(record(engine, "a").history) == limit
            fail(engine, claim_one(engine), cause="snooze")
        kept = record(engine, "a")
        numbers = [entry.number for entry in kept.history]
        newest = range(limit + 11 - LAST_ATTEMPTS_KEPT, limit + 11)
        assert numbers == [*range(1, FIRST_ATTEMPTS_KEPT + 1), *newest]
        assert kept.attempt == limit + 10

    def test_only_scheduled_and_dead_jobs_are_retried(self, engine: Engine) -> None:
        send(engine, "done", "gone", "run", "wait")
        settle(engine, claim_one(engine))
        settle(engine, claim_one(engine), State.CANCELLED)
        claim_one(engine)
        names = ("done", "gone", "run", "wait")
        answer = apply(engine, RetryJobs(tuple(job_id(name) for name in names)))
        assert answer.changed == frozenset()
        assert [answer.states[job_id(name)] for name in names] == [
            State.SUCCEEDED,
            State.CANCELLED,
            State.RUNNING,
            State.READY,
        ]
        assert labels(claim(engine, 5)) == ["wait"]

    def test_a_redriven_job_is_not_pruned(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        bury(engine, claim_one(engine))
        apply(engine, RetryJobs((job_id("a"),)))
        clock.advance(31 * DAY)
        assert maintain(engine).pruned == 0
        assert labels(claim(engine)) == ["a"]

    def test_purging_deletes_what_is_finished_and_ends_what_waits(self, engine: Engine) -> None:
        send(engine, "done", "dead", "run", "wait")
        send(engine, "later", delay=60.0)
        settle(engine, claim_one(engine))
        bury(engine, claim_one(engine))
        lease = claim_one(engine)
        names = ("done", "dead", "run", "wait", "later", "?")
        answer = apply(engine, PurgeJobs(tuple(job_id(name) for name in names)))
        assert answer.states == {
            job_id("run"): State.RUNNING,
            job_id("wait"): State.CANCELLED,
            job_id("later"): State.CANCELLED,
        }
        assert sorted(labels(answer.changed)) == ["dead", "done", "later", "wait"]
        assert state(engine, "done") is None
        assert state(engine, "dead") is None
        failure = record(engine, "wait").failure
        assert failure is not None
        assert failure.cause == "purged"
        assert claim(engine) == ()
        assert settle(engine, lease).lost == frozenset()

    def test_a_purged_id_is_free(self, engine: Engine) -> None:
        send(engine, "a")
        bury(engine, claim_one(engine))
        apply(engine, PurgeJobs((job_id("a"),)))
        send(engine, "a")
        assert record(engine, "a").history == ()
        assert claim_one(engine).attempt == 1

    def test_a_priority_is_edited(self, engine: Engine) -> None:
        send(engine, "a", "b", "c")
        answer = apply(engine, EditJobs((job_id("c"), job_id("?")), priority=1))
        assert answer.states == {job_id("c"): State.READY}
        assert answer.changed == {job_id("c")}
        apply(engine, EditJobs((job_id("a"),), priority=-1))
        assert labels(claim(engine, 3)) == ["c", "b", "a"]

    def test_an_edited_priority_lasts(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", delay=10.0)
        send(engine, "b", "c")
        apply(engine, EditJobs((job_id("a"), job_id("c")), priority=5))
        fail(engine, claim_one(engine), delay=10.0)
        clock.advance(10)
        assert labels(claim(engine, 3)) == ["a", "c", "b"]

    def test_a_moment_is_edited(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", "b")
        answer = apply(engine, EditJobs((job_id("a"),), run_at=clock.now() + 10))
        assert answer.states == {job_id("a"): State.SCHEDULED}
        assert record(engine, "a").run_at == clock.now() + 10
        assert labels(claim(engine, 5)) == ["b"]
        answer = apply(engine, EditJobs((job_id("a"),), run_at=clock.now() - 1))
        assert answer.states == {job_id("a"): State.READY}
        assert labels(claim(engine, 5)) == ["a"]

    def test_an_earlier_moment_is_kept_to(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", delay=100.0)
        apply(engine, EditJobs((job_id("a"),), run_at=clock.now() + 10))
        clock.advance(10)
        assert labels(claim(engine)) == ["a"]

    def test_what_runs_or_is_finished_is_not_edited(self, engine: Engine) -> None:
        send(engine, "done", "run")
        settle(engine, claim_one(engine))
        claim_one(engine)
        answer = apply(engine, EditJobs((job_id("done"), job_id("run")), priority=9))
        assert answer.changed == frozenset()
        assert answer.states == {job_id("done"): State.SUCCEEDED, job_id("run"): State.RUNNING}


class RetentionSuite:
    """How long finished jobs are kept."""

    def test_finished_jobs_are_pruned_after_their_time(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "done", "gone", "dead", "live")
        settle(engine, claim_one(engine))
        settle(engine, claim_one(engine), State.CANCELLED)
        bury(engine, claim_one(engine))
        clock.advance(7 * DAY - 60)
        assert maintain(engine).pruned == 0
        clock.advance(120)
        assert maintain(engine).pruned == 2
        assert [state(engine, name) for name in ("done", "gone", "dead", "live")] == [
            None,
            None,
            State.DEAD,
            State.READY,
        ]
        clock.advance(23 * DAY)
        assert maintain(engine).pruned == 1
        assert state(engine, "dead") is None
        assert state(engine, "live") is State.READY

    def test_a_message_may_say_how_long(self, engine: Engine, clock: ManualClock) -> None:
        retention = Retention(succeeded=10.0, dead=20.0)
        send(engine, "done", "dead", "gone", retention=retention)
        settle(engine, claim_one(engine))
        bury(engine, claim_one(engine))
        apply(engine, CancelJobs((job_id("gone"),)))
        assert record(engine, "done").kept_until == clock.now() + 10
        assert record(engine, "dead").kept_until == clock.now() + 20
        assert record(engine, "gone").kept_until == clock.now() + 10
        clock.advance(11)
        assert maintain(engine).pruned == 2
        clock.advance(10)
        assert maintain(engine).pruned == 1

    def test_a_pruned_job_leaves_nothing_behind(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", tags=("blue",), retention=Retention(dead=1.0))
        fail(engine, claim_one(engine))
        bury(engine, claim_one(engine))
        clock.advance(2)
        maintain(engine)
        assert engine.find(Filter(tags=("blue",))).wait(PATIENCE).records == ()
        send(engine, "a")
        assert record(engine, "a").history == ()
        assert record(engine, "a").attempt == 0

    def test_very_many_are_pruned_in_steps(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, *[f"{n}" for n in range(3000)], retention=Retention(succeeded=1.0))
        apply(engine, CancelJobs(tuple(job_id(f"{n}") for n in range(3000))))
        clock.advance(2)
        assert maintain(engine).pruned == 3000


class FindSuite:
    """Lists of jobs."""

    def find(self, engine: Engine, **where: object) -> list[str]:
        """Return the labels of all jobs that fit."""
        found = engine.find(msgspec.structs.replace(Filter(), **where)).wait(PATIENCE)
        assert found.cursor is None
        return labels(found.records)

    def test_newest_first_whatever_their_state(self, engine: Engine) -> None:
        send(engine, "c", "a")
        send(engine, "b", priority=9)
        settle(engine, claim_one(engine))
        claim_one(engine)
        assert self.find(engine) == ["b", "a", "c"]

    def test_nothing_is_found_in_an_empty_ledger(self, engine: Engine) -> None:
        assert self.find(engine) == []

    def test_by_state(self, engine: Engine) -> None:
        send(engine, "done", "dead", "run", "ready")
        send(engine, "later", delay=60.0)
        settle(engine, claim_one(engine))
        bury(engine, claim_one(engine))
        claim_one(engine)
        assert self.find(engine, states=(State.SUCCEEDED,)) == ["done"]
        assert self.find(engine, states=(State.DEAD,)) == ["dead"]
        assert self.find(engine, states=(State.RUNNING,)) == ["run"]
        assert self.find(engine, states=(State.READY, State.SCHEDULED)) == ["later", "ready"]

    def test_by_queue_task_and_tags(self, engine: Engine) -> None:
        send(engine, "a", queue="x", task="t", tags=("red", "blue"))
        send(engine, "b", queue="y", task="t", tags=("red",))
        send(engine, "c", queue="x", task="u")
        assert self.find(engine, queues=("x",)) == ["c", "a"]
        assert self.find(engine, queues=("x", "y"), tasks=("t",)) == ["b", "a"]
        assert self.find(engine, tags=("red",)) == ["b", "a"]
        assert self.find(engine, tags=("blue", "red")) == ["a"]
        assert self.find(engine, tags=("green",)) == []
        assert self.find(engine, queues=("nowhere",)) == []

    def test_by_cause(self, engine: Engine) -> None:
        send(engine, "a", "b", "c", "d")
        bury(engine, claim_one(engine), cause="unknown-task")
        bury(engine, claim_one(engine), cause="rejected")
        fail(engine, claim_one(engine), cause="rejected", delay=60)
        apply(engine, CancelJobs((job_id("d"),)))
        assert self.find(engine, cause="unknown-task") == ["a"]
        assert self.find(engine, cause="rejected") == ["b"]
        assert self.find(engine, cause="cancelled") == ["d"]

    def test_pages_follow_one_another(self, engine: Engine) -> None:
        names = [f"{n}" for n in range(25)]
        send(engine, *names)
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = engine.find(Filter(), limit=10, cursor=cursor).wait(PATIENCE)
            assert len(page.records) <= 10
            seen += labels(page.records)
            send(engine, f"new{len(seen)}")  # what arrives meanwhile shifts nothing
            if (cursor := page.cursor) is None:
                break
        assert seen == names[::-1]

    def test_pages_of_a_filtered_list(self, engine: Engine) -> None:
        for n in range(12):
            send(engine, f"{n}", queue="even" if n % 2 == 0 else "odd")
        where = Filter(queues=("even",))
        first = engine.find(where, limit=4).wait(PATIENCE)
        assert labels(first.records) == ["10", "8", "6", "4"]
        second = engine.find(where, limit=4, cursor=first.cursor).wait(PATIENCE)
        assert labels(second.records) == ["2", "0"]
        assert second.cursor is None

    def test_ids_are_listed_as_the_jobs_are(self, engine: Engine) -> None:
        for n in range(6):
            send(engine, f"{n}", queue="even" if n % 2 == 0 else "odd", tags=("red",))
        send(engine, "later", delay=60.0)
        for where in (
            Filter(),
            Filter(queues=("even",)),
            Filter(tags=("red",)),
            Filter(states=(State.SCHEDULED,)),
            Filter(states=(State.READY,)),
        ):
            listed = engine.find(where).wait(PATIENCE).records
            ids = engine.find_ids(where).wait(PATIENCE)
            assert ids.ids == tuple(record.id for record in listed)
            assert ids.cursor is None
        first = engine.find_ids(Filter(queues=("odd",)), limit=2).wait(PATIENCE)
        assert first.ids == (job_id("5"), job_id("3"))
        rest = engine.find_ids(Filter(queues=("odd",)), cursor=first.cursor).wait(PATIENCE)
        assert rest.ids == (job_id("1"),)

    def test_a_page_survives_the_end_of_its_last_job(self, engine: Engine) -> None:
        send(engine, "a", "b", "c")
        page = engine.find(Filter(), limit=1).wait(PATIENCE)
        apply(engine, CancelJobs((job_id("c"),)))
        apply(engine, PurgeJobs((job_id("c"),)))
        rest = engine.find(Filter(), limit=5, cursor=page.cursor).wait(PATIENCE)
        assert labels(rest.records) == ["b", "a"]

    def test_a_made_up_cursor_is_refused(self, engine: Engine) -> None:
        with pytest.raises(HeadraceError):
            engine.find(Filter(), cursor="'; --").wait(PATIENCE)
