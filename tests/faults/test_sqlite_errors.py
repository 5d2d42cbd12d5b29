"""I/O errors under the SQLite engine: what is not known is called unknown, never failed."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.clock import SystemClock
from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.wal import Sync
from headrace.engines.sqlite.writer import Writer
from headrace.errors import EngineClosed, EngineError, OutcomeUnknown, StorageCorrupt
from headrace.message import Message
from headrace.record import Filter, State
from headrace.reply import Reply
from headrace.testing import ManualClock
from headrace.testing.steps import claim_one, depth, job_id, maintain, message, send, state
from headrace.write import Put, Send
from tests.faults import strace
from tests.faults.audit import audit
from tests.faults.disk import Call, Disk
from tests.faults.history import Event, Type, read
from tests.faults.lengths import lengths
from tests.faults.moments import Moments
from tests.faults.plants import call_the_unknown_failed
from tests.faults.power import Cut, cuts, kills
from tests.faults.processes import Processes, until
from tests.faults.promises import Promises, broken, judge, look, promises
from tests.faults.workload import PATIENCE, Workload, answer_of

PROGRAM = "tests.faults.program"
STEPS = 25
LARGE = 70
"""MiB in one batch: more than SQLite's cache holds, so that it writes before the commit."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk() as disk:
        yield disk


@pytest.fixture
def engine(tmp_path: Path, clock: ManualClock, disk: Disk) -> Iterator[SQLiteEngine]:
    engine = on(disk, tmp_path / "jobs.db", clock)
    yield engine
    engine.close().wait(PATIENCE)


def on(disk: Disk, path: Path, clock: ManualClock) -> SQLiteEngine:
    engine = SQLiteEngine(path, clock=clock, ballast=0, vfs=disk.name)
    engine.open().wait(PATIENCE)
    return engine


def reopen(engine: SQLiteEngine) -> None:
    engine.close().wait(PATIENCE)
    engine.open().wait(PATIENCE)


# One commit ---------------------------------------------------------------------------------------


def test_a_failed_sync_leaves_exactly_its_commit_unknown(
    engine: SQLiteEngine, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request waits for the lock, two are gathered meanwhile, a fourth comes as they sync."""
    late: list[Reply[Any]] = []
    original = Writer._commit

    def commit(self: Writer, connection: Any, group: list[Any], sync: Sync) -> None:
        if len(group) == 2:
            late.append(engine.apply(Send((message("late"),))))
        original(self, connection, group, sync)

    monkeypatch.setattr(Writer, "_commit", commit)
    send(engine, "old")  # the first commit syncs the log's header, too
    disk.fail("sync", 2, suffix="-wal")
    lock = engine.begin()
    engine.apply(Put("lock", b""), lock).wait(PATIENCE)
    first = engine.apply(Send((message("first"),)))
    until(lambda: not engine._session.writer._waiting, "the first group", show=str)  # type: ignore[union-attr] # it is open
    second = engine.apply(Send((message("a"), message("b"))))
    third = engine.apply(Send((message("c"),)))
    lock.rollback().wait(PATIENCE)
    assert answer_of(first) is None
    assert unknown_ids(second) == (job_id("a"), job_id("b"))
    assert unknown_ids(third) == (job_id("c"),)
    assert isinstance(answer_of(late[0]), EngineClosed)
    reopen(engine)
    assert [state(engine, label) for label in ("first", "late")] == [State.READY, None]
    assert state(engine, "a") is state(engine, "b") is state(engine, "c")


def unknown_ids(reply: Reply[Any]) -> tuple[str, ...]:
    error = answer_of(reply)
    assert isinstance(error, OutcomeUnknown)
    return error.job_ids


def test_a_failed_sync_of_a_transaction_leaves_it_unknown(engine: SQLiteEngine, disk: Disk) -> None:
    tx = engine.begin()
    engine.apply(Send((message("a"),)), tx).wait(PATIENCE)
    disk.fail("sync", suffix="-wal")
    assert unknown_ids(tx.commit()) == (job_id("a"),)
    with pytest.raises(EngineClosed):
        send(engine, "b")
    reopen(engine)
    assert state(engine, "b") is None


CALLS: dict[str, Callable[[SQLiteEngine], object]] = {
    "apply": lambda engine: send(engine, "later"),
    "commit": lambda engine: engine.commit([Put("k", b"")]).wait(PATIENCE),
    "lease": claim_one,
    "get": lambda engine: engine.get(["x"]).wait(PATIENCE),
    "states": lambda engine: engine.states(["x"]).wait(PATIENCE),
    "find": lambda engine: engine.find(Filter()).wait(PATIENCE),
    "load": lambda engine: engine.load(["k"]).wait(PATIENCE),
    "scan": lambda engine: engine.scan("").wait(PATIENCE),
    "depth": depth,
    "maintain": maintain,
    "inspect": lambda engine: engine.inspect().wait(PATIENCE),
    "begin": lambda engine: engine.apply(Put("k", b""), engine.begin()).wait(PATIENCE),
}


@pytest.mark.parametrize("call", CALLS)
def test_after_an_unknown_commit_every_call_is_refused_until_it_is_reopened(
    engine: SQLiteEngine, disk: Disk, call: str
) -> None:
    send(engine, "old")
    disk.fail("sync", suffix="-wal")
    with pytest.raises(OutcomeUnknown):
        send(engine, "doubt")
    with pytest.raises(EngineClosed, match="open"):
        CALLS[call](engine)
    reopen(engine)
    send(engine, "new")
    assert [state(engine, label) for label in ("old", "new", "later")] == [
        State.READY,
        State.READY,
        None,
    ]


def test_a_failed_write_before_the_commit_is_a_definite_failure(
    engine: SQLiteEngine, disk: Disk
) -> None:
    disk.fail("write", suffix="-wal")
    error = answer_of(engine.apply(Send(large_batch())))
    assert isinstance(error, EngineError)
    assert not isinstance(error, OutcomeUnknown)
    assert "nothing was written" in str(error)
    with pytest.raises(EngineClosed):
        send(engine, "later")
    reopen(engine)
    assert depth(engine).depth == 0
    send(engine, "new")


def large_batch() -> tuple[Message, ...]:
    body = msgspec.Raw(b'"%s"' % (b"x" * 2**20))
    return tuple(message(f"{n}", body=body) for n in range(LARGE))


def test_an_error_after_the_commit_does_not_deny_it(
    engine: SQLiteEngine, disk: Disk, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits at once after us, and reading what it wrote fails."""
    other = SQLiteEngine(engine.path, clock=clock, ballast=0)
    other.open().wait(PATIENCE)
    original = Writer._yield_to_others

    def yield_to_others(self: Writer, connection: Any) -> None:
        if self is engine._session.writer and not said:  # type: ignore[union-attr] # it is open
            said.append(other.apply(Put("other", b"")).wait(PATIENCE))
            disk.fail("read")
        original(self, connection)

    said: list[object] = []
    monkeypatch.setattr(Writer, "_yield_to_others", yield_to_others)
    send(engine, "a")
    until(lambda: said, "the other's commit", show=str)
    other.close().wait(PATIENCE)
    reopen(engine)
    assert state(engine, "a") is State.READY


# A mixed workload ---------------------------------------------------------------------------------


class Story:
    """Seeded work on a disk of which the n-th call fails.

    The engine is the file's only one, or another works beside it, so that ours has to read what
    the other writes.
    """

    def __init__(self, path: Path, call: Call, nth: int, *, accompanied: bool) -> None:
        self.clock = ManualClock()
        self.path = path
        self.errors: list[BaseException] = []
        with Disk() as disk:
            engine = on(disk, path, self.clock)
            other = SQLiteEngine(path, clock=self.clock, ballast=0)
            if accompanied:
                other.open().wait(PATIENCE)
            disk.settle()
            self.moments = Moments(disk.recording)
            workload = Workload(engine, self.moments, seed=nth)
            disk.fail(call, nth)
            for number in range(STEPS):
                self.errors += workload.step()
                if accompanied:
                    other.apply(Put("other", b"%d" % number)).wait(PATIENCE)
            for each in (engine, other):
                each.close().wait(PATIENCE)

    def broken(self) -> list[str]:
        """Return the promises that are broken once the file is opened again."""
        engine = SQLiteEngine(self.path, clock=self.clock, ballast=0)
        engine.open().wait(PATIENCE)
        violations = judge(engine, self.clock, self.moments.events)
        engine.close().wait(PATIENCE)
        return [*violations, *audit(self.path)]

    def broken_if_killed(self) -> list[str]:
        """Return the promises that are broken if the process dies as soon as it says no."""
        refusals = {e.time for e in self.moments.events if e.type in {Type.FAIL, Type.INFO}}
        violations: list[str] = []
        for kill in kills(self.moments.recording):
            if kill.moment in refusals:
                with kill.image() as directory:
                    made = promises(self.moments.until(kill.moment))
                    engine = SQLiteEngine(directory / "jobs.db", clock=self.clock, ballast=0)
                    engine.open().wait(PATIENCE)
                    violations += broken(made, look(engine, made))
                    engine.close().wait(PATIENCE)
        return violations


@pytest.mark.parametrize("accompanied", [False, True])
@pytest.mark.parametrize("call", ["sync", "write", "read"])
@pytest.mark.parametrize("count", lengths(10, 300))
def test_no_answer_is_contradicted_after_an_error(
    tmp_path: Path, call: Call, count: int, *, accompanied: bool
) -> None:
    errors: list[BaseException] = []
    for nth in range(1, count + 1):
        story = Story(tmp_path / f"{nth}" / "jobs.db", call, nth, accompanied=accompanied)
        assert story.broken() == [], f"{call} {nth}"
        # The recording knows nothing of what the other wrote.
        assert accompanied or story.broken_if_killed() == [], f"{call} {nth}"
        errors += story.errors
    assert any(isinstance(error, EngineError) for error in errors)


def test_control_an_unknown_commit_that_is_called_failed_is_found(tmp_path: Path) -> None:
    with call_the_unknown_failed():
        story = Story(tmp_path / "jobs.db", "sync", 5, accompanied=False)
    assert any("was refused, but" in violation for violation in story.broken_if_killed())


# Power cuts after it ------------------------------------------------------------------------------


def lost_after_reopening(path: Path, nth: int, count: int) -> list[str]:
    """Let the n-th sync fail, reopen, ask what happened, and cut the power: the answer must hold.

    The system forgets what it could not sync, and a later sync does not vouch for it.
    """
    clock = ManualClock()
    with Disk() as disk:
        engine = on(disk, path, clock)
        disk.settle()
        moments = Moments(disk.recording)
        workload = Workload(engine, moments, seed=nth)
        disk.fail("sync", nth, suffix="-wal")
        while not any(isinstance(error, OutcomeUnknown) for error in workload.step()):
            clock.advance(0.01)
        reopen(engine)
        made = promises(moments.events)
        told = look(engine, made).records.keys()
        since = disk.recording.moment
        send(engine, "later")
        engine.close().wait(PATIENCE)
    images = cuts(disk.recording, seed=nth, count=count)
    return [lost for cut in images if cut.moment >= since for lost in told - jobs_in(cut, made)]


def jobs_in(cut: Cut, made: Promises) -> set[str]:
    with cut.image() as directory:
        engine = SQLiteEngine(directory / "jobs.db", clock=ManualClock(), ballast=0)
        try:
            engine.open().wait(PATIENCE)
            return set(look(engine, made).records)
        except StorageCorrupt:
            return set()
        finally:
            engine.close().wait(PATIENCE)


@pytest.mark.parametrize("count", lengths(5, 60))
def test_what_is_told_after_reopening_survives_a_power_cut(tmp_path: Path, count: int) -> None:
    for nth in range(1, count + 1):
        assert lost_after_reopening(tmp_path / f"{nth}" / "jobs.db", nth, 300) == []


def test_control_without_the_checkpoint_of_opening_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Database.prepare

    def prepare(self: Database, boot: str) -> None:
        if not self.path.exists():
            original(self, boot)

    monkeypatch.setattr(Database, "prepare", prepare)
    assert any(lost_after_reopening(tmp_path / f"{n}" / "jobs.db", n, 300) for n in range(1, 6))


# Real system calls --------------------------------------------------------------------------------


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    strace.require()
    with Processes(tmp_path) as processes:
        yield processes


def make(path: Path) -> None:
    """Make the file, so that the process's calls are those of its work alone."""
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    engine.close().wait(PATIENCE)


@pytest.mark.parametrize("calls", [strace.SYNCS, ("pwrite64",)])
@pytest.mark.parametrize("count", lengths(4, 100))
def test_real_errors_leave_no_answer_contradicted(
    processes: Processes, tmp_path: Path, calls: tuple[str, ...], count: int
) -> None:
    for nth in range(1, 3 * count + 1, 3):
        folder = tmp_path / f"{nth}"
        folder.mkdir()
        path, history = folder / "jobs.db", folder / "history"
        make(path)
        fault = strace.Fault(calls, nth, "error=EIO", path=Path(f"{path}-wal"))
        argv = ("work", str(path), str(history), f"{nth}", "", "12")
        process = processes.start(*fault.around(sys.executable, "-m", PROGRAM, *argv))
        assert process.wait() == 0
        assert "OutcomeUnknown" in process.output()
        assert process.output().endswith("EngineClosed\nclosed\n")
        assert broken_in(path, read(history)) == []


def test_a_real_failed_write_before_the_commit_is_a_definite_failure(
    processes: Processes, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.db"
    fault = strace.Fault(("pwrite64",), 1, "error=EIO", path=Path(f"{path}-wal"))
    argv = ("flood", str(path), str(tmp_path / "history"), "1", "", f"{LARGE}")
    make(path)
    process = processes.start(*fault.around(sys.executable, "-m", PROGRAM, *argv))
    assert process.wait() == 0
    assert process.output() == "opened\nEngineError\nclosed\n"
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    assert depth(engine).depth == 0
    engine.close().wait(PATIENCE)


def broken_in(path: Path, history: Sequence[Event]) -> list[str]:
    """Return the promises that a real process's file breaks."""
    clock = ManualClock(SystemClock().now())
    engine = SQLiteEngine(path, clock=clock, ballast=0)
    engine.open().wait(PATIENCE)
    violations = judge(engine, clock, history)
    engine.close().wait(PATIENCE)
    return [*violations, *audit(path)]
