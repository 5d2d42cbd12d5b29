"""Two places between which everything is moved, and what the world outside sees of their jobs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from headrace import App
from headrace.engine import Engine
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
SETTINGS = {
    "HEADRACE_DURABILITY": "crash",
    "HEADRACE_BALLAST": "0",
    "HEADRACE_ALLOW_UNSAFE_SERVER": "true",
    "HEADRACE_ALLOW_VOLATILE_SERVER": "true",
}


@dataclass
class Works:
    """Two places, and what was seen.

    Attributes:
        folder: for what the jobs note.
        processes: starts movers and workers.
        places: the URLs of the source "a" and the target "b".
        submitted: how many jobs there were so far.
    """

    folder: Path
    processes: Processes
    places: Mapping[str, str]
    submitted: int = 0

    @contextmanager
    def engine(self, name: str) -> Iterator[Engine]:
        """Open one of the places in this process."""
        app = App(
            self.places[name],
            durability="crash",
            ballast=0,
            allow_unsafe_server=True,
            allow_volatile_server=True,
        )
        with app:
            yield app.engine

    def submit(self) -> None:
        """Submit numbered jobs with order keys to the source; they are forgotten when they ran."""
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
        with self.engine("a") as source:
            source.apply(Send(tuple(messages))).wait(PATIENCE)
        self.submitted += EACH

    def worker(self, name: str) -> Process:
        """Start `headrace worker` on one of the places."""
        arguments = ("-c", COMMAND_LINE, "worker", "tests.faults.moving:app")
        environment = self._environment | {"HEADRACE_URL": self.places[name]}
        return self.processes.start(sys.executable, *arguments, environment=environment)

    def mover(self, at: int = 0, when: str = "after", bug: str = "") -> Process:
        """Start `headrace move`, to which something happens at a commit; see `moving`."""
        where = ("--from", self.places["a"], "--to", self.places["b"], "--wait", "20")
        arguments = ("-m", "tests.faults.moving", str(at), when, bug, "move", *where)
        return self.processes.start(sys.executable, *arguments, environment=self._environment)

    def move(self, kill_at: int = 0, when: str = "after", bug: str = "") -> int:
        """Run `headrace move`, which kills itself at a commit; return how it ended."""
        return self.mover(kill_at, when, bug).wait(PATIENCE)

    def forget(self) -> None:
        """Wait until the target has run and pruned all that it has: its ledger knows nothing."""
        with self.engine("b") as target:

            def empty() -> bool:
                target.maintain().wait(PATIENCE)
                return not target.find(Filter(), limit=1).wait(PATIENCE).records

            until(empty, "the target to run and forget", PATIENCE, show=lambda: str(self.seen()))

    def seen(self) -> list[int]:
        """Return the numbers of the jobs that ran, in order."""
        file = self.folder / "notes"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    @property
    def _environment(self) -> dict[str, str]:
        return {**SETTINGS, "MOVING_NOTES": str(self.folder / "notes")}


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
