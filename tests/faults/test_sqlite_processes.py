"""Several processes on one SQLite file, killed and frozen at random moments."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import apsw
import psutil
import pytest

from headrace.clock import SystemClock
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import HeadraceError
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import claim, labels, maintain, message, send, settle, state
from headrace.write import Send, Settle, Settlement
from tests.faults import strace
from tests.faults.audit import audit
from tests.faults.checkers import conservation, lease_log, total_queue
from tests.faults.history import History, Type, read
from tests.faults.lengths import lengths
from tests.faults.plants import settle_stale_leases
from tests.faults.processes import Process, Processes, until
from tests.faults.promises import broken, look, promises
from tests.faults.workload import PATIENCE, QUEUES

PROCESSES = 3
AFTER = 120.0
"""Seconds after which every delay is over; long before anything is pruned."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


@dataclass
class Company:
    """Processes that share a file and write one history.

    Attributes:
        processes: who starts and kills them.
        path: the file.
        bug: what is planted in each.
        members: those that live.
    """

    processes: Processes
    path: Path
    bug: str = ""
    members: list[Process] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        self.history = History(Path(f"{self.path}.history"))
        engine = SQLiteEngine(self.path, ballast=0)
        engine.open().wait(PATIENCE)
        engine.close().wait(PATIENCE)

    def start(self, verb: str) -> Process:
        """Start one more, under a name of its own."""
        self.started += 1
        arguments = (verb, str(self.path), str(self.history.path), f"{self.started}", self.bug)
        self.members.append(self.processes.python("tests.faults.program", *arguments))
        return self.members[-1]

    def kill(self, member: Process) -> None:
        """Kill one, and write it down."""
        self.history.record(Type.INVOKE, "kill", member.pid)
        self.processes.kill(member.pid)
        member.wait()
        self.members.remove(member)

    def end(self) -> None:
        """Let all come to their end."""
        Path(f"{self.path}.end").touch()
        for member in self.members:
            assert member.wait(PATIENCE) == 0, member.output()

    def sample(self) -> None:
        """Count the jobs by state, in one snapshot."""
        since = time.monotonic_ns()
        with closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(10_000)
            rows = connection.execute(COUNTS).fetchall()
        counts = {str(name): count for name, count in rows}
        self.history.record(Type.OK, "sample", {"since": since} | counts)

    def broken(self) -> list[str]:
        """Compare the file with what was told; then run everything to its end."""
        clock = ManualClock(SystemClock().now() + AFTER)
        engine = SQLiteEngine(self.path, clock=clock, ballast=0)
        engine.open().wait(PATIENCE)
        made = promises(read(self.history.path))
        violations = broken(made, look(engine, made))
        with contextlib.suppress(HeadraceError):  # a planted bug may be in the way
            self._run_the_rest(engine)
        for job_id, ended in engine.states(made.ids).wait(PATIENCE).items():
            self.history.record(Type.OK, "end", {"number": job_id, "state": ended})
        engine.close().wait(PATIENCE)
        return [*violations, *audit(self.path)]

    def violations(self) -> list[str]:
        """Judge the history, too."""
        kept = self.broken()
        events = read(self.history.path)
        return [*kept, *total_queue(events), *lease_log(events), *conservation(events)]

    def _run_the_rest(self, engine: SQLiteEngine) -> None:
        maintain(engine)
        while leases := claim(engine, 1000, queues=QUEUES):
            for lease in leases:
                self.history.record(Type.INVOKE, "run", lease.job_id)
                self.history.record(Type.OK, "run", lease.job_id)
            done = (Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
            engine.apply(Settle(tuple(done))).wait(PATIENCE)


COUNTS = """
    select 'finished', count(*) from headrace_finished
    union all
    select 'live', count(*) from headrace_job
    where seq not in (select seq from headrace_finished)
"""


# Hammering ----------------------------------------------------------------------------------------


def hammer(company: Company, seconds: float) -> None:
    """Let processes work, kill one after another and replace it, and look on."""
    rng = Random(1)
    for _ in range(PROCESSES):
        company.start("hammer")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        victim = rng.choice(company.members)
        victim.expect("opened")
        time.sleep(rng.uniform(0.0, 0.8))
        company.sample()
        assert audit(company.path) == [] or company.bug
        company.kill(victim)
        company.start("hammer")
    company.end()


@pytest.mark.parametrize("seconds", lengths(3, 900))
def test_processes_that_are_killed_lose_nothing(
    processes: Processes, tmp_path: Path, seconds: int
) -> None:
    company = Company(processes, tmp_path / "jobs.db")
    hammer(company, seconds)
    assert company.violations() == []
    events = read(company.history.path)
    assert sum(event.f == "kill" for event in events) > 2
    assert sum((event.f, event.type) == ("settle", Type.OK) for event in events) > 50


def test_control_a_settle_that_asks_nobody_is_found(processes: Processes, tmp_path: Path) -> None:
    def found(attempt: int) -> bool:
        folder = tmp_path / str(attempt)
        folder.mkdir()
        company = Company(processes, folder / "jobs.db", settle_stale_leases.__name__)
        hammer(company, 2)
        return any("settled it after" in violation for violation in company.violations())

    # It takes a lease that is lost just before its job is settled.
    assert any(found(attempt) for attempt in range(10))


# Fairness -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", lengths(1, 60))
def test_no_writer_starves(
    processes: Processes,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    seconds: int,
) -> None:
    company = Company(processes, tmp_path / "jobs.db")
    writers = [company.start("submit") for _ in range(4)]
    for writer in writers:
        writer.expect("opened")
    time.sleep(seconds)
    company.end()
    for writer in writers:
        said = writer.output().splitlines()[1]
        record_property(f"writer {writer.pid}", said)
        assert int(said.split()[1].rstrip(",")) > 10 * seconds, "it got its turn now and then"
    assert company.broken() == []


# Freezing -----------------------------------------------------------------------------------------


def settle_after_being_frozen(
    processes: Processes, path: Path, bug: str = ""
) -> tuple[str, list[str]]:
    """Freeze a holder of leases beyond them; return what its settle is told, and who holds them."""
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    send(engine, "a", "b", "c")
    company = Company(processes, path, bug)
    sleeper = company.start("hold")
    sleeper.expect("holds 3")
    processes.stop(sleeper.pid)
    until(lambda: maintain(engine).reclaimed, "the end of its leases", show=sleeper.output)
    taken = [lease for _ in range(3) for lease in claim(engine)]
    Path(f"{path}.end").touch()
    processes.resume(sleeper.pid)
    sleeper.expect("closed")
    held = [label for label in labels(taken) if state(engine, label) is State.RUNNING]
    for lease in taken:
        settle(engine, lease)
    engine.close().wait(PATIENCE)
    return sleeper.output().splitlines()[-2], held


def test_a_frozen_holder_has_lost_its_leases(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    assert settle_after_being_frozen(processes, path) == ("lost 3", ["a", "b", "c"])
    assert audit(path) == []


def test_control_a_frozen_holder_that_asks_nobody_is_found(
    processes: Processes, tmp_path: Path
) -> None:
    bug = settle_stale_leases.__name__
    told, held = settle_after_being_frozen(processes, tmp_path / "jobs.db", bug)
    assert (told, held) == ("lost 0", [])


def test_a_process_that_is_frozen_in_its_commit_delays_others_only(
    processes: Processes, tmp_path: Path
) -> None:
    strace.require()
    path = tmp_path / "jobs.db"
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    fault = strace.Fault(strace.SYNCS, 10, "signal=SIGSTOP", path=Path(f"{path}-wal"))
    arguments = ("work", str(path), f"{path}.history", "1", "", "40")
    tracer = processes.start(
        *fault.around(sys.executable, "-m", "tests.faults.program", *arguments)
    )
    until(lambda: frozen(tracer), "the freeze", show=tracer.output)
    late = engine.apply(Send((message("late"),)))
    time.sleep(0.3)
    assert not late.done, "the frozen one holds the write lock"
    processes.resume(tracer.descendants()[0])
    late.wait(PATIENCE)
    assert tracer.wait(PATIENCE) == 0
    made = promises(read(Path(f"{path}.history")))
    assert broken(made, look(engine, made)) == []
    engine.close().wait(PATIENCE)
    assert audit(path) == []


def frozen(tracer: Process) -> bool:
    """Whether the process that is traced stands still, and not just for one of its calls."""
    stopped = {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
    for _ in range(20):
        pids = tracer.descendants()
        if not pids or psutil.Process(pids[0]).status() not in stopped:
            return False
        time.sleep(0.01)
    return True
