"""Changes that people and programs make to jobs and queues."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.engines.sqlite import SQLiteEngine, leasing
from headrace.errors import DuplicateJob
from headrace.record import QueueLimits, State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    apply,
    bury,
    claim,
    claim_one,
    depth,
    fail,
    job_id,
    labels,
    record,
    send,
    settle,
    state,
)
from headrace.write import (
    CancelJobs,
    EditJobs,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    RetryJobs,
)
from tests.unit.engines.sqlite.looking import complaints, rows, tables_with_jobs


def ids(*names: str) -> tuple[str, ...]:
    return tuple(job_id(name) for name in names)


def test_a_change_says_what_it_changed_and_what_is_so_anyway(engine: SQLiteEngine) -> None:
    send(engine, "ready", "run")
    send(engine, "wait", delay=60.0)
    settle(engine, claim_one(engine))
    claim_one(engine)
    answer = apply(engine, CancelJobs(ids("ready", "run", "wait", "none", "wait")))
    assert answer.states == {
        job_id("ready"): State.SUCCEEDED,
        job_id("run"): State.RUNNING,
        job_id("wait"): State.CANCELLED,
    }
    assert answer.changed == frozenset(ids("run", "wait"))
    again = apply(engine, CancelJobs(ids("run", "wait")))
    assert again.changed == frozenset()


def test_a_due_job_is_ready_to_every_change(engine: SQLiteEngine, clock: ManualClock) -> None:
    send(engine, "a", delay=5.0)
    clock.advance(5)
    answer = apply(engine, RetryJobs(ids("a")))
    assert answer.changed == frozenset()
    assert answer.states == {job_id("a"): State.READY}


@pytest.mark.parametrize("moment", [None, 0.0, 60.0])
@pytest.mark.parametrize("priority", [None, 7])
def test_edits_put_jobs_where_they_belong(
    engine: SQLiteEngine,
    path: Path,
    clock: ManualClock,
    moment: float | None,
    priority: int | None,
) -> None:
    send(engine, "plain")
    send(engine, "head", "next", order_key="k")
    send(engine, "wait", delay=30.0)
    send(engine, "held", "heldon", order_key="w", delay=30.0)
    names = ("plain", "head", "next", "wait", "held", "heldon")
    run_at = None if moment is None else clock.now() + moment
    answer = apply(engine, EditJobs(ids(*names), priority=priority, run_at=run_at))
    assert answer.changed == frozenset(ids(*names))
    assert complaints(path) == []
    waiting = {name for name in names if state(engine, name) is State.SCHEDULED}
    expected = {None: {"wait", "held", "heldon"}, 0.0: set[str](), 60.0: set(names)}[moment]
    assert waiting == expected
    for name in names:
        found = record(engine, name)
        assert found.message.priority == (priority or 0)
        if run_at is not None:
            assert found.message.run_at == run_at
    clock.advance(100)
    first = labels(claim(engine, 9))
    assert first == ["plain", "head", "wait", "held"]
    assert complaints(path) == []


def test_a_new_moment_is_kept_to_the_last_digit(engine: SQLiteEngine, clock: ManualClock) -> None:
    send(engine, "a")
    moment = clock.now() + 1234.567891
    apply(engine, EditJobs(ids("a"), run_at=moment))
    found = record(engine, "a")
    assert found.run_at == found.message.run_at == moment


def test_an_edit_among_more_due_jobs_than_are_woken_at_once(
    engine: SQLiteEngine, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasing, "_WAKE_STEPS", 0)
    send(engine, "a", delay=5.0)
    clock.advance(6)
    apply(engine, EditJobs(ids("a"), priority=3))
    monkeypatch.undo()
    assert complaints(path) == []
    assert labels(claim(engine, 9)) == ["a"]


def test_running_and_finished_jobs_are_not_edited(engine: SQLiteEngine) -> None:
    send(engine, "run", "done")
    run, done = claim(engine, 2)
    settle(engine, done)
    answer = apply(engine, EditJobs(ids("run", "done", "none"), priority=3))
    assert answer.changed == frozenset()
    assert settle(engine, run).lost == frozenset()


def test_a_purge_leaves_no_row_in_any_table(
    engine: SQLiteEngine, path: Path, clock: ManualClock
) -> None:
    fields = {"tags": ("x", "y"), "expires_after": 90.0, "attempt": 1}
    send(engine, "dead", "gone", "wait", "ready", unique_key=None, order_key="k", **fields)
    fail(engine, claim_one(engine))
    bury(engine, claim_one(engine))
    apply(engine, CancelJobs(ids("gone")))
    names = ids("dead", "gone", "wait", "ready")
    first = apply(engine, PurgeJobs(names))
    assert first.changed == frozenset(names)
    assert first.states == dict.fromkeys(ids("wait", "ready"), State.CANCELLED)
    second = apply(engine, PurgeJobs(names))
    assert second.states == {}
    assert [table for table in tables_with_jobs(path) if rows(path, table)] == []
    assert depth(engine).depth == depth(engine).bytes == 0
    clock.advance(100)
    assert complaints(path) == []


def test_a_purge_leaves_running_jobs(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    assert apply(engine, PurgeJobs(ids("a"))).changed == frozenset()
    assert settle(engine, lease).lost == frozenset()
    assert complaints(path) == []


def test_a_redrive_is_refused_whole_when_one_key_lives_again(
    engine: SQLiteEngine, path: Path
) -> None:
    for name, key in (("a", "u"), ("b", "v")):
        send(engine, name, unique_key=key)
        bury(engine, claim_one(engine))
    send(engine, "rival", unique_key="v")
    with pytest.raises(DuplicateJob, match="cannot live again") as refusal:
        apply(engine, RetryJobs(ids("a", "b")))
    assert refusal.value.job_id == job_id("rival")
    assert state(engine, "a") is State.DEAD
    assert complaints(path) == []


def test_two_dead_jobs_of_one_key_cannot_both_live_again(engine: SQLiteEngine) -> None:
    for name in ("a", "b"):
        send(engine, name, unique_key="u")
        bury(engine, claim_one(engine))
    with pytest.raises(DuplicateJob):
        apply(engine, RetryJobs(ids("a", "b")))
    apply(engine, RetryJobs(ids("b")))
    assert state(engine, "b") is State.READY


def test_queues_can_be_paused_and_limited_before_they_have_jobs(engine: SQLiteEngine) -> None:
    apply(engine, PauseQueue("later"))
    apply(engine, LimitQueue("later", QueueLimits(max_depth=2)))
    status = depth(engine, "later")
    assert status.paused
    assert status.limits == QueueLimits(max_depth=2)
    send(engine, "a", queue="later")
    assert claim(engine, queues=("later",)) == ()
    assert record(engine, "a").reason == "queue-paused"
    apply(engine, LimitQueue("later", QueueLimits()))
    assert depth(engine, "later").limits == QueueLimits()
