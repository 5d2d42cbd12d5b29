"""Kills under the SQLite engine, at any write or sync: what was told holds, and nothing is half."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from headrace.clock import SystemClock
from headrace.engines.sqlite import SQLiteEngine, database
from headrace.testing import ManualClock
from tests.faults import strace
from tests.faults.audit import audit
from tests.faults.disk import Disk
from tests.faults.history import Event, Type, read
from tests.faults.lengths import lengths
from tests.faults.moments import Moments
from tests.faults.plants import answer_before_the_commit, commit_one_by_one
from tests.faults.power import kills
from tests.faults.processes import Processes
from tests.faults.promises import judge
from tests.faults.workload import PATIENCE, Workload

STEPS = 60
SOME = 23
"""The slice looks at every so many of more than a thousand writes."""


@pytest.fixture(autouse=True)
def _small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints and restarts of the log fall into a short run."""
    monkeypatch.setattr(database, "CHECKPOINT_PAGES", 25)


def broken_in(path: Path, history: Sequence[Event], clock: ManualClock) -> list[str]:
    """Return what is wrong with the file of a process that was killed."""
    engine = SQLiteEngine(path, clock=clock, ballast=0)
    engine.open().wait(PATIENCE)
    violations = [*audit(path), *judge(engine, clock, history)]
    engine.close().wait(PATIENCE)
    return [*violations, *audit(path)]


# At every write: what the disk was asked for, replayed --------------------------------------------


def run(path: Path, seed: int) -> Moments:
    """Work on a recorded disk."""
    with Disk() as disk, disk.watching():
        moments = Moments(disk.recording)
        engine = SQLiteEngine(path, clock=ManualClock(), ballast=0, vfs=disk.name)
        engine.open().wait(PATIENCE)
        workload = Workload(engine, moments, seed=seed)
        for _ in range(STEPS):
            workload.step()
        engine.close().wait(PATIENCE)
    return moments


def broken_by_kills(moments: Moments, every: int) -> list[str]:
    violations: list[str] = []
    for kill in kills(moments.recording, every=every):
        with kill.image() as directory:
            told = moments.until(kill.moment)
            violations += broken_in(directory / "jobs.db", told, ManualClock())
    return violations


@pytest.mark.parametrize("runs", lengths(1, 10))
def test_a_kill_at_any_write_contradicts_no_answer(tmp_path: Path, runs: int) -> None:
    for seed in range(runs):
        moments = run(tmp_path / f"{seed}" / "jobs.db", seed)
        assert broken_by_kills(moments, every=SOME if runs == 1 else 1) == []


def test_control_an_answer_before_the_commit_is_found(tmp_path: Path) -> None:
    with answer_before_the_commit():
        moments = run(tmp_path / "jobs.db", 0)
    assert any("are lost" in violation for violation in broken_by_kills(moments, every=SOME))


def test_control_a_commit_in_parts_is_found(tmp_path: Path) -> None:
    with commit_one_by_one():
        moments = run(tmp_path / "jobs.db", 0)
    assert any(
        "only one is there" in violation for violation in broken_by_kills(moments, every=SOME)
    )


# At the n-th system call of a real process --------------------------------------------------------


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    strace.require()
    with Processes(tmp_path) as processes:
        yield processes


def broken_by_kill_at(
    processes: Processes, folder: Path, fault: strace.Fault, bug: str = ""
) -> list[str]:
    """Let a process work until it is killed; it must not come to its end."""
    folder.mkdir()
    path, history = folder / "jobs.db", folder / "history"
    argv = ("-m", "tests.faults.program", "work", str(path), str(history), f"{fault.nth}", bug)
    process = processes.start(*fault.around(sys.executable, *argv, "300"))
    assert process.wait(PATIENCE) < 0, process.output()
    clock = ManualClock(SystemClock().now())
    return broken_in(path, read(history), clock)


@pytest.mark.parametrize("calls", [strace.SYNCS, strace.WRITES])
@pytest.mark.parametrize("count", lengths(5, 150))
def test_a_kill_at_the_nth_call_contradicts_no_answer(
    processes: Processes, tmp_path: Path, calls: tuple[str, ...], count: int
) -> None:
    for nth in range(3, 3 + 7 * count, 7):
        fault = strace.Fault(calls, nth, "signal=SIGKILL")
        assert broken_by_kill_at(processes, tmp_path / f"{nth}", fault) == [], fault


def test_control_an_answer_before_the_commit_of_a_process_is_found(
    processes: Processes, tmp_path: Path
) -> None:
    fault = strace.Fault(strace.WRITES, 150, "signal=SIGKILL")
    bug = answer_before_the_commit.__name__
    violations = broken_by_kill_at(processes, tmp_path / "run", fault, bug)
    assert any("are lost" in violation for violation in violations)
    assert any(event.type is Type.OK for event in read(tmp_path / "run" / "history"))
