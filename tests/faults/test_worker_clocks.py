"""Steps of the wall clock: no lease ends early, and none late.

The worker is in this process, with a clock of its own; another process on the same file, whose
clock is the machine's, looks for expired leases as well.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace import App
from headrace.clock import Clock, SystemClock
from headrace.node import Node
from headrace.record import Record, State
from tests.faults.fleet import LEASE, PATIENCE, Fleet
from tests.faults.lengths import lengths
from tests.faults.processes import Processes, until
from tests.faults.test_worker_leases import REAPED_AFTER

HOUR = 3600.0
YEAR = 365 * 24 * HOUR
STEPS = (HOUR, -HOUR, 10 * YEAR, -10 * YEAR, 1.0, -1.0)
QUEUE = "here"
"""Only the worker of this process takes jobs from it."""


class SteppingClock(SystemClock):
    """A wall clock that is set anew again and again."""

    def __init__(self) -> None:
        self.step = 0.0

    def now(self) -> float:
        """Return what a clock shows that is wrong by `step`."""
        return super().now() + self.step


class WallClock(SteppingClock):
    """The bug: it measures time by the wall clock."""

    def monotonic(self) -> float:
        """Return what may go back."""
        return super().monotonic() + self.step


class Scene:
    """A worker of this process, and what its task writes down.

    Attributes:
        app: the App; its task is `note`.
        begun: when runs began, by the true clock.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        url = f"sqlite:////{directory / 'jobs.db'}"
        self.app = App(url, clock=clock, lease=LEASE, ballast=0)
        self.begun: list[float] = []

        @self.app.task(queue=QUEUE)
        def note(seconds: float) -> None:
            self.begun.append(time.monotonic())
            time.sleep(seconds)

        self.note = note

    def record(self, job_id: str) -> Record:
        return self.app.engine.get([job_id]).wait(PATIENCE)[job_id]


@contextmanager
def scene(directory: Path, clock: Clock) -> Iterator[Scene]:
    with Processes(directory) as processes, Fleet(processes, directory) as fleet:
        fleet.worker()
        played = Scene(directory, clock)
        with played.app:
            yield played


@contextmanager
def working(app: App) -> Iterator[None]:
    node = Node(app)
    node.start()
    try:
        yield
    finally:
        node.stop()


def run_through(
    directory: Path, clock: SteppingClock, steps: Sequence[float], dwell: float
) -> tuple[Record, int]:
    """Set the clock anew while a job runs; return what is known of it, and how often it ran."""
    with scene(directory, clock) as played, working(played.app):
        job = played.note.submit(len(steps) * dwell + LEASE / 2)
        until(lambda: played.begun, "the run", show=str)
        for clock.step in steps:
            time.sleep(dwell)
        clock.step = 0.0
        until(lambda: played.record(job.id).state.terminal, "its end", PATIENCE, show=str)
        return played.record(job.id), len(played.begun)


@pytest.mark.parametrize("rounds", lengths(2, 600))
def test_no_lease_ends_early(tmp_path: Path, rounds: int) -> None:
    record, runs = run_through(tmp_path, SteppingClock(), STEPS * rounds, LEASE / len(STEPS))
    assert (record.state, record.attempt, record.lost, runs) == (State.SUCCEEDED, 1, 0, 1)


def test_a_worker_that_measures_leases_by_the_wall_clock_is_found(tmp_path: Path) -> None:
    record, runs = run_through(tmp_path, WallClock(), [-HOUR], 1.5 * LEASE)
    assert record.lost > 0
    assert runs > 1


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_no_lease_ends_late_or_early_when_its_holder_is_gone(tmp_path: Path, step: float) -> None:
    clock = SteppingClock()
    with scene(tmp_path, clock) as played:
        job = played.note.submit(0.0)
        claimed = time.monotonic()
        gone = played.app.engine.lease([QUEUE], limit=1, seconds=LEASE, holder="gone")
        assert len(gone.wait(PATIENCE)) == 1
        clock.step = step
        with working(played.app):
            until(lambda: played.begun, "its successor", LEASE + REAPED_AFTER, show=str)
            until(lambda: played.record(job.id).state.terminal, "its end", show=str)
        assert played.begun[0] >= claimed + LEASE
        assert played.record(job.id).lost == 1
