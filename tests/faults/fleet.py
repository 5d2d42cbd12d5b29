"""Submitters and workers on one file, for the tests to kill, freeze, heal, drain and judge."""

import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Self

import msgspec

from headrace import App
from headrace.record import Filter, Record
from headrace.task import Call
from tests.faults import labour, plants, witness
from tests.faults.history import Event, History, Type, read
from tests.faults.processes import Process, Processes, until
from tests.faults.storage import SmallDisk

APP = "tests.faults.labour:app"
COMMAND_LINE = "from headrace.cli.start import main; main()"
LEASE = 1.0
GRACE = 10.0
PATIENCE = 60.0
"""Seconds after which what should have come to an end is taken for stuck."""
SNAPSHOT = """
    select (select count(*) from headrace_ready), (select count(*) from headrace_scheduled),
        (select count(*) from headrace_running), (select count(*) from headrace_finished)
"""


class Fleet:
    """The processes of one test, their file and their history.

    Args:
        processes: starts them.
        directory: for the history, and for the file if there is no disk.
        disk: where the file is, if the test itself cannot open it: see `fetch`.
        settings: fields of `Config` for all of them.

    Attributes:
        app: opens the file in this process.
        history: what this process writes down.
        environment: further variables for those that are started from now on.
    """

    def __init__(
        self,
        processes: Processes,
        directory: Path,
        *,
        disk: SmallDisk | None = None,
        **settings: object,
    ) -> None:
        self._processes = processes
        self._path = directory / "history"
        self._settings = {"lease": LEASE, "grace": GRACE, "ballast": 0} | settings
        self._disk = disk
        self._url = f"sqlite:////{(disk.path if disk else directory) / 'jobs.db'}"
        self._frozen: set[int] = set()
        self.environment: dict[str, str] = {}
        self.history = History(self._path)
        self._copy = directory / "jobs.db"
        self.app = App(f"sqlite:////{self._copy}", ballast=self._settings["ballast"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # A frozen child of a supervisor would survive it.
        for pid in tuple(self._frozen):
            self.resume(pid)
        self.app.close()
        self.history.__exit__()

    # Starting -------------------------------------------------------------------------------------

    def worker(self, *, bug: str = "", **settings: object) -> Process:
        """Start a worker process without a supervisor."""
        return self._start("-m", "tests.faults.mill", "work", bug=bug, settings=settings)

    def supervisor(self, processes: int = 1, *, bug: str = "", **settings: object) -> Process:
        """Start `headrace worker`."""
        arguments = ("worker", APP, "-p", str(processes))
        return self._start("-c", COMMAND_LINE, *arguments, bug=bug, settings=settings)

    def submitter(
        self, numbers: range, tasks: Iterable[str], seconds: float = 0.0, *, bug: str = ""
    ) -> Process:
        """Start a process that submits jobs with these numbers to any of these tasks."""
        first, last = str(numbers.start), str(numbers.stop)
        arguments = ("submit", first, last, str(seconds), *tasks)
        return self._start("-m", "tests.faults.mill", *arguments, bug=bug, settings={})

    def offerer(self, end: Path, first: int, tasks: Iterable[str], *, bug: str = "") -> Process:
        """Start a process that submits jobs, numbered from `first`, until there is a file `end`."""
        arguments = ("offer", str(end), str(first), *tasks)
        return self._start("-m", "tests.faults.mill", *arguments, bug=bug, settings={})

    def _start(self, *arguments: str, bug: str, settings: dict[str, object]) -> Process:
        command = (sys.executable, *arguments)
        environment = {
            **self.environment,
            "HEADRACE_URL": self._url,
            witness.HISTORY: str(self._path),
            plants.BUG: bug,
            **{f"HEADRACE_{k.upper()}": str(v) for k, v in (self._settings | settings).items()},
        }
        if self._disk is not None:
            command = self._disk.command(*command)
        return self._processes.start(*command, environment=environment)

    def submit(self, calls: Iterable[Call[Any]]) -> list[str]:
        """Submit jobs from the test itself, and return their ids."""
        batch = list(calls)
        numbers = [msgspec.json.decode(call.message("x").body)["number"] for call in batch]
        with self.history.operation("submit", numbers):
            return [job.id for job in self.app.submit(batch)]

    # Harming and healing --------------------------------------------------------------------------

    def kill(self, pid: int) -> None:
        """Send SIGKILL."""
        self.history.record(Type.INVOKE, "kill", pid)
        self._processes.kill(pid)

    def freeze(self, pid: int) -> None:
        """Send SIGSTOP."""
        self.history.record(Type.INVOKE, "stop", pid)
        self._frozen.add(pid)
        self._processes.stop(pid)

    def resume(self, pid: int) -> None:
        """Send SIGCONT."""
        self._frozen.discard(pid)
        self._processes.resume(pid)
        self.history.record(Type.OK, "stop", pid)

    @contextmanager
    def frozen(self, pid: int) -> Iterator[None]:
        """Keep a process frozen meanwhile."""
        self.freeze(pid)
        try:
            yield
        finally:
            self.resume(pid)

    # Watching -------------------------------------------------------------------------------------

    def events(self, f: str = "", kind: Type | None = None) -> list[Event]:
        """Return what has been written down so far: everything, or of one operation."""
        return [
            event for event in read(self._path) if f in ("", event.f) and kind in (None, event.type)
        ]

    def numbers(self, f: str, kind: Type) -> list[int]:
        """Return the numbers of one operation, in order, with repetitions."""
        return [event.value for event in self.events(f, kind)]

    def wait_for(self, f: str, kind: Type, count: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until something was written down so often."""
        until(
            lambda: len(self.events(f, kind)) >= count,
            f"{count} times {f} {kind}", timeout, show=self.outputs,
        )  # fmt: skip

    def wait_for_new_claim(self, worker: Process, timeout: float = PATIENCE) -> None:
        """Wait until a worker, or a child of a supervisor, claims a job, from now on."""
        skip = self._path.stat().st_size

        def claimed() -> bool:
            ours = {worker.pid, *worker.descendants()}
            new = read(self._path, skip)
            return any((e.f, e.type) == ("claim", Type.OK) and e.process in ours for e in new)

        until(claimed, f"a claim of {worker}", timeout, show=self.outputs)

    def wait_for_claims(self, supervisor: Process, children: int, *workers: Process) -> None:
        """Wait until these workers, and so many children of a supervisor, have claimed jobs.

        A process that is still starting heeds no signals yet.
        """

        def all_work() -> bool:
            pids = {*supervisor.descendants(), *(worker.pid for worker in workers)}
            claimed = {event.process for event in self.events("claim")}
            return len(pids) == children + len(workers) and pids <= claimed

        until(all_work, "claims of all", PATIENCE, show=self.outputs)

    def outputs(self) -> str:
        """Return what every process has written, for those who wonder."""
        started = self._processes._started
        return "\n".join(f"--- {process}\n{process.output()}" for process in started)

    def sample(self) -> None:
        """Record how many jobs there are, by state, in one snapshot."""
        since = time.monotonic_ns()
        tx = self.app.engine.begin()
        try:
            ((ready, scheduled, running, finished),) = tx.execute(SNAPSHOT).wait(PATIENCE)
        finally:
            tx.rollback().wait(PATIENCE)
        states = {"ready": ready, "scheduled": scheduled, "running": running, "finished": finished}
        self.history.record(Type.OK, "sample", {"since": since, **states})

    def records(self) -> list[Record]:
        """Return all that the ledger knows."""
        found: list[Record] = []
        cursor: str | None = None
        while True:
            page = self.app.engine.find(Filter(), limit=1000, cursor=cursor).wait(PATIENCE)
            found += page.records
            cursor = page.cursor
            if cursor is None:
                return found

    # Judging --------------------------------------------------------------------------------------

    def drain(self, timeout: float = PATIENCE) -> None:
        """Wait until every job has ended."""
        until(lambda: not self._depth(), "the last job's end", timeout, show=self._state)

    def _depth(self) -> int:
        return sum(queue.depth for queue in self.app.engine.depth().wait(PATIENCE))

    def _state(self) -> str:
        return f"{self.app.engine.depth().wait(PATIENCE)}\n{self.outputs()}"

    def send(self, worker: Process, number: signal.Signals) -> None:
        """Send any other signal."""
        self._processes.signal(worker.pid, number)

    def stop(self, *workers: Process, by: signal.Signals = signal.SIGTERM) -> list[int]:
        """Let workers end as at a deploy, and return their exit codes."""
        for worker in workers:
            self.send(worker, by)
        return [worker.wait(PATIENCE) for worker in workers]

    def fetch(self, disk: SmallDisk) -> None:
        """Copy the file from a disk that only the processes see; they have to be stopped."""
        for path in disk.view.glob(f"{self._copy.name}*"):
            if path.is_file():
                shutil.copy(path, self._copy.parent)

    def close_books(self) -> list[Event]:
        """Record what the system says in the end of every job and effect; return the history."""
        self.sample()
        for record in self.records():
            number = msgspec.json.decode(record.message.body)["number"]
            value = {"number": number, "state": record.state, "lost": record.lost}
            self.history.record(Type.OK, "end", value)
        for number in self.effects():
            self.history.record(Type.OK, "effect", number)
        return self.events()

    def prepare_effects(self) -> None:
        """Make the table into which tasks write."""
        tx = self.app.engine.begin()
        tx.execute(labour.EFFECTS).wait(PATIENCE)
        tx.commit().wait(PATIENCE)

    def wait_for_effects(self, count: int) -> None:
        """Wait until there are so many effects."""
        until(lambda: len(self.effects()) >= count, f"{count} effects", show=self.outputs)

    def effects(self) -> list[int]:
        """Return the number of every effect, if there is such a table."""
        tx = self.app.engine.begin()
        try:
            there = tx.execute("select 1 from sqlite_master where name = 'effects'").wait(PATIENCE)
            query = "select number from effects"
            return [row[0] for row in tx.execute(query).wait(PATIENCE)] if there else []
        finally:
            tx.rollback().wait(PATIENCE)


class Storm:
    """Random faults under load: kills of submitters and workers, pauses, and orderly stops.

    Args:
        fleet: the processes.
        tasks: what is submitted.
        seed: the same seed draws the same faults, though never at the same moments.
        share: how many jobs each submitter is to submit.
    """

    WORKERS = 2
    CHILDREN = 2
    SUBMITTERS = 2

    def __init__(self, fleet: Fleet, tasks: Iterable[str], *, seed: int, share: int) -> None:
        self._fleet = fleet
        self._share = share
        self._tasks = tuple(tasks)
        self._rng = Random(seed)
        self._next = 0
        self._faults = 0
        self._deck = [self._pause] + 2 * [self._kill_submitter] + 3 * [self._kill_child]
        self._deck += 4 * [self._kill_worker]
        self._supervisor = fleet.supervisor(self.CHILDREN)
        self._workers = [fleet.worker() for _ in range(self.WORKERS)]
        self._submitters = [self._new_submitter() for _ in range(self.SUBMITTERS)]

    def rage(self, faults: int) -> None:
        """Bring so many faults about, every kind in every ten, then heal everything."""
        self._faults += faults
        for number in range(faults):
            if number % len(self._deck) == 0:
                self._rng.shuffle(self._deck)
            time.sleep(self._rng.uniform(0.1, 0.5))
            self._fleet.sample()
            self._deck[number % len(self._deck)]()

    def drain(self) -> list[int]:
        """Wait for the end of all work, stop the workers and return their exit codes."""
        for submitter in self._submitters:
            submitter.wait(PATIENCE)
        self._fleet.drain(PATIENCE + self._faults)
        return self._fleet.stop(self._supervisor, *self._workers)

    def _kill_worker(self) -> None:
        # The oldest: a worker that is still starting holds nothing.
        self._fleet.kill(self._workers.pop(0).pid)
        self._workers.append(self._fleet.worker())

    def _kill_child(self) -> None:
        if children := self._supervisor.descendants():
            self._fleet.kill(children[0])

    def _kill_submitter(self) -> None:
        index = self._rng.randrange(self.SUBMITTERS)
        self._fleet.kill(self._submitters[index].pid)
        self._submitters[index] = self._new_submitter()

    def _pause(self) -> None:
        with self._fleet.frozen(self._rng.choice(self._workers).pid):
            time.sleep(LEASE * self._rng.uniform(0.5, 2.5))

    def _new_submitter(self) -> Process:
        numbers = range(self._next, self._next + self._share)
        self._next = numbers.stop
        return self._fleet.submitter(numbers, self._tasks, self._rng.uniform(0.0, 0.1))
