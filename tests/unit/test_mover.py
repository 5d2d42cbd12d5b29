"""A mover takes everything along, and goes on after any interruption as if there had been none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.cargo import MOVE_PREFIX
from headrace.engine import Engine
from headrace.engines.memory import MemoryEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import Conflict, DuplicateJob, EngineClosed, OutcomeUnknown, UsageError
from headrace.ids import Ids
from headrace.mover import Mover, Step
from headrace.record import Cause, QueueLimits, State
from headrace.reply import Reply
from headrace.testing import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    apply,
    bury,
    claim,
    claim_one,
    commit,
    depth,
    fail,
    job_id,
    labels,
    record,
    send,
    settle,
    state,
)
from headrace.write import LimitQueue, PauseQueue, PurgeJobs, Put, Restore, Write


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(clock: ManualClock) -> Iterator[Engine]:
    engine = MemoryEngine(clock=clock, ids=Ids(clock, seed=1))
    engine.open().wait(PATIENCE)
    yield engine
    engine.close().wait(PATIENCE)


@pytest.fixture
def target(clock: ManualClock, tmp_path: Path) -> Iterator[Engine]:
    engine = SQLiteEngine(tmp_path / "b.db", clock=clock, ids=Ids(clock, seed=2), ballast=0)
    engine.open().wait(PATIENCE)
    yield engine
    engine.close().wait(PATIENCE)


def mover(source: Engine, target: Engine, clock: ManualClock) -> Mover:
    """Return a mover that has begun."""
    found = Mover(source, target, clock, Ids(clock), PATIENCE)
    found.begin()
    return found


def move(source: Engine, target: Engine, clock: ManualClock) -> list[Step]:
    """Move all that can be moved now."""
    steps: list[Step] = []
    mover(source, target, clock).run(0.0, steps.append)
    return steps


def run_all(engine: Engine, seen: Counter[str]) -> None:
    """Run what is there, note it outside, and forget it: as if its retention time had passed."""
    while leases := claim(engine, 10):
        for lease in leases:
            seen[lease.job_id] += 1
            settle(engine, lease)
            apply(engine, PurgeJobs((lease.job_id,)))


# What is moved ------------------------------------------------------------------------------------


def test_everything_is_moved(source: Engine, target: Engine, clock: ManualClock) -> None:
    send(source, "done", "dead", "wait")
    settle(source, claim_one(source))
    bury(source, claim_one(source))
    send(source, "later", delay=60.0, queue="other")
    apply(source, Put("key", b"value"))
    before = record(source, "dead").history
    steps = move(source, target, clock)
    assert sum(step.jobs for step in steps) == 4
    assert sum(step.entries for step in steps) == 1
    assert state(target, "done") is State.SUCCEEDED
    assert record(target, "dead").history == before
    assert state(target, "later") is State.SCHEDULED
    assert labels(claim(target, 5)) == ["wait"]
    assert source.states([job_id(name) for name in ("done", "wait")]).wait(PATIENCE) == {}
    entry = target.load(["key"]).wait(PATIENCE).get("key")
    assert entry is not None
    assert entry.value == b"value"


def test_settings_are_taken_over_once(source: Engine, target: Engine, clock: ManualClock) -> None:
    limits = QueueLimits(max_depth=7)
    send(source, "a")
    send(source, "b", queue="held")
    commit(source, LimitQueue("default", limits), PauseQueue("held"))
    move(source, target, clock)
    assert depth(target).limits == limits
    assert depth(target, "held").paused
    assert not depth(target).paused
    apply(target, PauseQueue("held", paused=False))
    send(source, "c", queue="held")
    move(source, target, clock)
    assert not depth(target, "held").paused
    assert depth(source).paused


def test_what_the_target_has_set_stays(source: Engine, target: Engine, clock: ManualClock) -> None:
    commit(target, LimitQueue("default", QueueLimits(max_depth=7)), PauseQueue("default"))
    send(source, "a")
    move(source, target, clock)
    assert depth(target).limits.max_depth == 7
    assert depth(target).paused


def test_a_running_job_is_moved_when_it_has_ended(
    source: Engine, target: Engine, clock: ManualClock
) -> None:
    send(source, "a", "b", order_key="k")
    lease = claim_one(source)
    worker = mover(source, target, clock)
    assert worker.run(0.0, lambda _: None) == {State.READY: 1, State.RUNNING: 1}
    assert claim(source, 5) == ()
    fail(source, lease, delay=0.0)
    assert worker.run(0.0, lambda _: None) == {}
    first = claim_one(target)
    assert labels([first]) == ["a"]
    assert first.attempt == 2


def test_a_lost_lease_is_reaped(source: Engine, target: Engine, clock: ManualClock) -> None:
    send(source, "a")
    claim_one(source)
    worker = mover(source, target, clock)

    class Impatient(ManualClock):
        """Lets a minute pass whenever it is asked."""

        def monotonic(self) -> float:
            clock.advance(60)
            return clock.monotonic()

    patient = Mover(source, target, Impatient(), Ids(clock), PATIENCE)
    patient.begin()
    assert worker.left() == {State.RUNNING: 1}
    assert patient.run(600.0, lambda _: None) == {}
    assert claim_one(target).lost == 1


def test_later_submits_are_found_by_the_next_pass(
    source: Engine, target: Engine, clock: ManualClock
) -> None:
    send(source, "a", order_key="k")
    move(source, target, clock)
    send(source, "b", order_key="k")
    send(source, "c", queue="new")
    assert claim(source, 5) == ()
    move(source, target, clock)
    assert labels(claim(target, 5)) == ["a"]
    assert labels(claim(target, 5, queues=("new",))) == ["c"]


def test_many_jobs_go_in_batches(source: Engine, target: Engine, clock: ManualClock) -> None:
    for start in range(0, 2500, 500):
        send(source, *(f"j{n}" for n in range(start, start + 500)))
    steps = move(source, target, clock)
    assert [step.jobs for step in steps] == [1000, 1000, 500]
    assert labels(claim(target, 2500)) == [f"j{n}" for n in range(2500)]


def test_a_unique_key_lives_once(source: Engine, target: Engine, clock: ManualClock) -> None:
    send(source, "a", "b")
    send(source, "old", unique_key="k")
    send(target, "new", unique_key="k")
    (step,) = move(source, target, clock)
    assert step.ended == (job_id("old"),)
    ended = record(target, "old")
    assert ended.state is State.DEAD
    assert ended.failure is not None
    assert ended.failure.cause == Cause.REPLACED
    assert job_id("new") in ended.failure.message
    assert labels(claim(target, 5)) == ["new", "a", "b"]


def test_there_and_back(source: Engine, target: Engine, clock: ManualClock) -> None:
    send(source, "a", "b", order_key="k")
    move(source, target, clock)
    settle(target, claim_one(target))
    move(target, source, clock)
    assert not depth(source).paused
    assert labels(claim(source, 5)) == ["b"]
    assert state(source, "a") is State.SUCCEEDED
    assert depth(target).paused


# What is refused ----------------------------------------------------------------------------------


def test_the_same_place_is_refused(source: Engine, clock: ManualClock) -> None:
    send(source, "a")
    with pytest.raises(UsageError, match="the same place"):
        mover(source, source, clock)
    assert labels(claim(source)) == ["a"]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_copy_is_refused(
    source: Engine, target: Engine, clock: ManualClock, *, swapped: bool
) -> None:
    send(source, "a")
    send(target, "a")
    with pytest.raises(UsageError, match="copy of the other"):
        mover(*((target, source) if swapped else (source, target)), clock)
    assert not depth(source).paused


def test_an_id_that_comes_up_meanwhile_stops_the_move(
    source: Engine, target: Engine, clock: ManualClock
) -> None:
    send(source, "a")
    worker = mover(source, target, clock)
    send(target, "a")
    with pytest.raises(DuplicateJob):
        worker.step()
    apply(target, PurgeJobs((job_id("a"),)))
    apply(target, PurgeJobs((job_id("a"),)))
    move(source, target, clock)
    assert labels(claim(target)) == ["a"]


def test_two_targets_are_refused(source: Engine, target: Engine, clock: ManualClock) -> None:
    send(source, "a")
    stop_after(source, target, clock, "Depart")
    other = MemoryEngine(clock=clock)
    other.open().wait(PATIENCE)
    with pytest.raises(UsageError, match="finish that move first"):
        mover(source, other, clock)
    with pytest.raises(UsageError, match="finish that move first"):
        mover(other, source, clock)
    move(source, target, clock)
    assert labels(claim(target)) == ["a"]
    send(source, "b")
    move(source, other, clock)
    assert labels(claim(other)) == ["b"]


def test_a_mover_whose_source_goes_elsewhere_now_ends(
    source: Engine, target: Engine, clock: ManualClock
) -> None:
    worker = mover(source, target, clock)
    other = MemoryEngine(clock=clock)
    other.open().wait(PATIENCE)
    mover(source, other, clock)
    with pytest.raises(UsageError, match="another move"):
        worker.step()


def test_an_older_copy_of_the_target_is_refused(
    source: Engine, target: Engine, clock: ManualClock, tmp_path: Path
) -> None:
    worker = mover(source, target, clock)
    target.backup(tmp_path / "copy.db").wait(PATIENCE)
    send(source, "a")
    worker.step()
    send(source, "b")
    stop_after(source, target, clock, "Depart")
    copy = SQLiteEngine(tmp_path / "copy.db", clock=clock, ballast=0)
    copy.open().wait(PATIENCE)
    with pytest.raises(UsageError, match="knows nothing of batch 1"):
        mover(source, copy, clock).step()
    copy.close().wait(PATIENCE)
    move(source, target, clock)
    assert labels(claim(target, 5)) == ["a", "b"]


# What goes wrong ----------------------------------------------------------------------------------


class Failing:
    """An engine whose commits fail from the n-th one on, before or after they happen."""

    def __init__(self, engine: Engine, fuse: list[int], *, after: bool) -> None:
        self._engine = engine
        self._fuse = fuse
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def commit(self, writes: Any, tx: Any = None) -> Reply[Any]:
        """Commit, or fail, or both."""
        self._fuse[0] -= 1
        if self._fuse[0] > 0:
            return self._engine.commit(writes, tx)
        if self._fuse[0] < 0:
            return Reply.failed(EngineClosed("it is dead"))
        if self._after:
            self._engine.commit(writes, tx).wait(PATIENCE)
        return Reply.failed(OutcomeUnknown("it may have happened"))


def stop_after(source: Engine, target: Engine, clock: ManualClock, kind: str) -> None:
    """Break a move off after its first write of a kind."""

    class Stopping(Failing):
        def commit(self, writes: Any, tx: Any = None) -> Reply[Any]:
            reply = self._engine.commit(writes, tx)
            if any(type(write).__name__ == kind for write in writes):
                raise InterruptedError
            return reply

    with pytest.raises(InterruptedError):
        move(
            Stopping(source, [], after=True),
            Stopping(target, [], after=True),
            clock,
        )


NAMES = [f"j{n}" for n in range(25)]


def interrupted_everywhere(
    fresh: Callable[[], tuple[Engine, Engine]], clock: ManualClock, *, after: bool
) -> Counter[str]:
    """Move, with the n-th commit failing, for every n; return how often each job was run."""
    seen: Counter[str] = Counter()
    moves = 0
    for n in range(1, 100):
        source, target = fresh()
        send(source, *NAMES[:20], order_key="k")
        send(source, *NAMES[20:])
        fuse = [n]
        try:
            move(
                Failing(source, fuse, after=after),
                Failing(target, fuse, after=after),
                clock,
            )
        except (OutcomeUnknown, EngineClosed):
            pass
        else:
            if fuse[0] > 0:
                break
        moves += 1
        run_all(target, seen)
        move(source, target, clock)
        run_all(target, seen)
    assert moves > 5
    return Counter({name: seen[job_id(name)] - moves for name in NAMES})


@pytest.fixture
def fresh(clock: ManualClock) -> Callable[[], tuple[Engine, Engine]]:
    def make() -> tuple[Engine, Engine]:
        engines = (MemoryEngine(clock=clock), MemoryEngine(clock=clock))
        for engine in engines:
            engine.open().wait(PATIENCE)
        return engines

    return make


@pytest.mark.parametrize("after", [False, True])
def test_each_job_runs_once_whichever_commit_fails(
    fresh: Callable[[], tuple[Engine, Engine]],
    clock: ManualClock,
    *,
    after: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headrace.mover._JOBS", 7)
    assert set(interrupted_everywhere(fresh, clock, after=after).values()) == {0}


def without_numbers(original: Any) -> Any:
    def commit(self: Mover, engine: Engine, *writes: Write[Any]) -> tuple[Any, ...]:
        if isinstance(writes[-1], Restore):
            writes = writes[1:]
        answers: tuple[Any, ...] = original(self, engine, *writes)
        return answers

    return commit


def deletes_first(original: Any) -> Any:
    def deliver(self: Mover, entry: Any) -> Step:
        from headrace.write import Delete  # noqa: PLC0415 - only this bug needs it

        self._commit(self._source, Delete(entry.key))
        step: Step = original(self, entry)
        return step

    return deliver


@pytest.mark.parametrize(
    ("name", "plant"), [("_commit", without_numbers), ("_deliver", deletes_first)]
)
def test_a_planted_bug_loses_or_repeats_jobs(
    fresh: Callable[[], tuple[Engine, Engine]],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    plant: Any,
) -> None:
    monkeypatch.setattr("headrace.mover._JOBS", 7)
    monkeypatch.setattr(Mover, name, plant(getattr(Mover, name)))
    seen = [interrupted_everywhere(fresh, clock, after=after) for after in (False, True)]
    assert any(set(counts.values()) != {0} for counts in seen)


def test_two_movers_at_once_move_everything_once(
    source: Engine, target: Engine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.mover._JOBS", 3)
    send(source, *NAMES, order_key="k")
    one, other = mover(source, target, clock), mover(source, target, clock)
    seen: Counter[str] = Counter()
    order: list[str] = []
    working = True
    while working:
        working = False
        for each in (one, other):
            try:
                working |= each.step() is not None
            except Conflict:
                working = True
            while leases := claim(target, 1):
                order += labels(leases)
                seen[leases[0].job_id] += 1
                settle(target, leases[0])
    assert order == NAMES
    assert set(seen.values()) == {1}


def test_a_stuck_mover_writes_nothing(source: Engine, target: Engine, clock: ManualClock) -> None:
    send(source, "a")
    seen: Counter[str] = Counter()

    class Overtaken(Failing):
        """Before it takes a batch in, another mover does, and the job is run and forgotten."""

        def commit(self, writes: Any, tx: Any = None) -> Reply[Any]:
            if any(isinstance(write, Restore) for write in writes):
                move(source, target, clock)
                run_all(target, seen)
            return self._engine.commit(writes, tx)

    slow = Overtaken(target, [], after=True)
    move(source, slow, clock)
    run_all(target, seen)
    assert set(seen.values()) == {1}
    assert source.scan(f"{MOVE_PREFIX}out/").wait(PATIENCE) == ()
