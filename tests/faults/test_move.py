"""A move between two files is killed at every commit, and each job runs once."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.ids import Ids
from headrace.message import VERSION, Message, Retention
from headrace.record import Filter
from headrace.write import Send
from tests.faults.moving import note
from tests.faults.processes import Process, Processes, until

KEYS = 3
PATIENCE = 60.0
EACH = 20
COMMAND_LINE = "from headrace.cli.start import main; main()"


@dataclass
class Works:
    """Two databases, and what the world outside has seen."""

    folder: Path
    processes: Processes
    submitted: int = 0

    def engine(self, name: str) -> SQLiteEngine:
        """Open one of the databases in this process."""
        engine = SQLiteEngine(self.folder / f"{name}.db", durability="crash", ballast=0)
        engine.open().wait(PATIENCE)
        return engine

    def submit(self) -> None:
        """Submit numbered jobs with order keys to the source; they are forgotten when they ran."""
        source = self.engine("a")
        numbers = range(self.submitted, self.submitted + EACH)
        messages = [
            Message(
                v=VERSION,
                id=job_id,
                task=note.name,
                body=msgspec.Raw(msgspec.json.encode({"n": n})),
                order_key=f"key {n % KEYS}",
                retention=Retention(succeeded=0.001),
            )
            for n, job_id in zip(numbers, Ids().job_ids(EACH), strict=True)
        ]
        source.apply(Send(tuple(messages))).wait(PATIENCE)
        source.close().wait(PATIENCE)
        self.submitted += EACH

    def worker(self, name: str) -> Process:
        """Start `headrace worker` on one of the databases."""
        arguments = ("-c", COMMAND_LINE, "worker", "tests.faults.moving:app")
        environment = self._environment | {"HEADRACE_URL": self._url(name)}
        return self.processes.start(sys.executable, *arguments, environment=environment)

    def move(self, kill_at: int = 0, when: str = "after", bug: str = "") -> int:
        """Run `headrace move`, which kills itself at a commit; return how it ended."""
        where = ("--from", self._url("a"), "--to", self._url("b"), "--wait", "20")
        arguments = ("-m", "tests.faults.moving", str(kill_at), when, bug, "move", *where)
        mover = self.processes.start(sys.executable, *arguments, environment=self._environment)
        return mover.wait(PATIENCE)

    def forget(self) -> None:
        """Wait until the target has run and pruned all that it has: its ledger knows nothing."""
        target = self.engine("b")

        def empty() -> bool:
            target.maintain().wait(PATIENCE)
            return not target.find(Filter(), limit=1).wait(PATIENCE).records

        until(empty, "the target to run and forget", PATIENCE, show=lambda: str(self.seen()))
        target.close().wait(PATIENCE)

    def seen(self) -> list[int]:
        """Return the numbers of the jobs that ran, in order."""
        file = self.folder / "notes"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "MOVING_NOTES": str(self.folder / "notes"),
            "HEADRACE_DURABILITY": "crash",
            "HEADRACE_BALLAST": "0",
        }

    def _url(self, name: str) -> str:
        return f"sqlite:////{self.folder / name}.db"


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    with Processes(tmp_path) as processes:
        yield Works(tmp_path, processes)


def judge(works: Works) -> list[str]:
    """Return what is wrong with the runs that the world outside has seen."""
    seen = works.seen()
    times = Counter(seen)
    wrong = [f"job {n} ran {times[n]} times" for n in range(works.submitted) if times[n] != 1]
    for key in range(KEYS):
        mine = [n for n in seen if n % KEYS == key]
        if mine != sorted(mine):
            wrong.append(f"key {key} ran out of order: {mine}")
    return wrong


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_move_is_killed_at_every_commit(works: Works, when: str) -> None:
    works.worker("b")
    works.submit()
    killed = 0
    for number in range(1, 30):
        ended = works.move(number, when)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        killed += 1
        works.forget()
        if number == 3:
            works.worker("a")  # at which nothing is left to be claimed, as its queues are paused
        if number < 6:
            works.submit()
    assert killed >= 5
    works.forget()
    assert judge(works) == []


def test_workers_on_both_sides_run_what_is_submitted_meanwhile(works: Works) -> None:
    workers = [works.worker("a"), works.worker("b")]
    for _ in range(3):
        works.submit()
        assert works.move() == 0
    works.submit()
    assert works.move(4) == -signal.SIGKILL
    assert works.move() == 0
    works.forget()
    assert all(worker.running for worker in workers)
    assert judge(works) == []


def test_a_planted_bug_is_found(works: Works) -> None:
    """Without the batch's number, what was taken in before a kill is taken in again."""
    works.worker("b")
    works.submit()
    for number in range(1, 9):
        if works.move(number, "after", "no numbers") == 0:
            break
        works.forget()
    works.forget()
    assert any(line.endswith("ran 2 times") for line in judge(works))
