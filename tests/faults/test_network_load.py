"""The network between some hosts and a server fails under load: nothing is lost, nobody hangs.

Workers and a submitter hang on a cable that fails; others, on a sound one, take over what those
held, so that whoever comes back meets successors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.cable import Cable
from tests.faults.fleet import PATIENCE
from tests.faults.history import Event
from tests.faults.inquest import tell, violations
from tests.faults.lengths import SOAK_SECONDS
from tests.faults.processes import Processes
from tests.faults.remote import RemoteFleet
from tests.postgresql import some_place
from tests.redis_server import keys

TASKS = ("note", "note_in_thread")
ROUNDS = 10
SHORT = 0.5
"""How long a fault lasts that costs nobody an unknown outcome."""

Fault = Callable[[Cable], None]
FAULTS: Sequence[Fault] = (
    lambda line: line.slow_down(0.02),
    lambda line: line.lose_each(25),
    Cable.reset,
    lambda line: line.hold(requests=True),
    lambda line: line.hold(answers=True),
    Cable.abandon,
)


class Story:
    """Two cables, with workers and a submitter on each, all under load.

    Args:
        fleet: starts them.
        directory: where the file is that ends it.
        deadline: how long one call may take.
        children: how many workers of a supervisor hang on the cable that fails; 0 is one without,
            and one submitter for all.
        bug: what is planted into the submitter on that cable.
    """

    def __init__(
        self,
        fleet: RemoteFleet,
        directory: Path,
        *,
        deadline: float,
        children: int = 2,
        bug: str = "",
    ) -> None:
        self._fleet = fleet
        self._end = directory / "end"
        self._recovery = deadline + 5.0
        fleet.environment["HEADRACE_DEADLINE"] = str(deadline)
        self.line = fleet.cable()
        with fleet.over(self.line):
            self.struck = fleet.supervisor(children) if children else fleet.worker()
            self.submitters = [fleet.offerer(self._end, 1, TASKS, bug=bug)]
        with fleet.over(fleet.cable()):
            self.other = fleet.worker()
            if children:
                self.submitters.append(fleet.offerer(self._end, 1_000_000, TASKS))
        for worker in (self.struck, self.other):
            fleet.wait_for_new_claim(worker)

    def strike(self, fault: Fault, seconds: float) -> None:
        """Let the cable fail for some seconds, and wait until its workers are at work again."""
        fault(self.line)
        time.sleep(seconds)
        self.line.slow_down(0)
        self.line.lose_each(0)
        self.line.let_go()
        self._fleet.wait_for_new_claim(self.struck, self._recovery)

    def close(self) -> list[Event]:
        """End the load, drain, and return the history."""
        self._end.touch()
        assert {submitter.wait(PATIENCE) for submitter in self.submitters} == {0}
        self._fleet.drain()
        assert self._fleet.stop(self.struck, self.other) == [0, 0]
        history = self._fleet.close_books()
        tell(history)
        return history


@contextmanager
def postgresql() -> Iterator[str]:
    with some_place() as place:
        yield f"{place.url}&connect_timeout=2"


SERVERS = {"postgresql": postgresql, "redis": keys}


@contextmanager
def fleet_on(server: str, directory: Path) -> Iterator[RemoteFleet]:
    unsafe = {"allow_unsafe_server": True, "allow_volatile_server": True}
    with (
        SERVERS[server]() as url,
        Processes(directory) as processes,
        RemoteFleet(processes, directory, url, lease=2.0, poll=0.2, **unsafe) as fleet,
    ):
        yield fleet


def errors(history: Sequence[Event], deadline: float) -> list[str]:
    """Return what submitters were told; each of them within its deadline."""
    answers = [event.value for event in history if event.f == "answer"]
    assert max(answer["seconds"] for answer in answers) < deadline + SHORT
    return [answer["error"] for answer in answers if answer["error"]]


@pytest.mark.parametrize("server", ["postgresql", pytest.param("redis", marks=pytest.mark.soak)])
def test_short_cuts_cost_no_job(tmp_path: Path, server: str) -> None:
    with fleet_on(server, tmp_path) as fleet:
        story = Story(fleet, tmp_path, deadline=5.0, children=0)
        for fault in FAULTS:
            story.strike(fault, SHORT)
        history = story.close()
    assert violations(history) == []
    assert not [error for error in errors(history, 5.0) if error.startswith("OutcomeUnknown")]


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS)
@pytest.mark.parametrize("server", SERVERS)
def test_long_cuts_cost_no_job(tmp_path: Path, server: str) -> None:
    """Now an outcome may be unknown, but only what the engine itself could not find out."""
    with fleet_on(server, tmp_path) as fleet:
        story = Story(fleet, tmp_path, deadline=15.0)
        for _ in range(ROUNDS):
            story.strike(lambda line: line.hold(requests=True, answers=True), 20.0)
            for fault in FAULTS:
                story.strike(fault, SHORT)
        history = story.close()
    assert violations(history) == []
    assert not [error for error in errors(history, 15.0) if "did not say in time" in error]


@pytest.mark.soak
def test_a_lost_commit_that_is_repeated_without_a_receipt_is_found(tmp_path: Path) -> None:
    with fleet_on("postgresql", tmp_path) as fleet:
        story = Story(fleet, tmp_path, deadline=5.0, bug="repeats_lost_commits")
        story.strike(lambda line: line.lose_each(10), 5.0)
        found = violations(story.close())
    assert any(line.endswith("ran but was refused") for line in found)
