"""Runs that take too long are asked to end, and those that do not are told of."""

from collections.abc import Iterator

import pytest

from headrace.worker.run import Run
from headrace.worker.watchdog import Watchdog
from tests.unit.waiting import until
from tests.unit.worker.stage import Stage, a_run


class Case:
    """A watchdog on a stage, running."""

    def __init__(self) -> None:
        self.stage = Stage(grace=5.0)
        self.stuck: list[Run] = []
        self.watchdog = Watchdog(self.stage.site, self.stuck.append)
        self.watchdog.start()


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.watchdog.stop()


def test_a_run_is_asked_to_end_at_its_timeout(case: Case) -> None:
    run, patient = a_run(1), a_run(2)
    case.watchdog.watch(run, 10)
    case.watchdog.watch(patient, 1000)
    case.stage.clock.advance(10)
    until(lambda: run.stopped, "the run to be asked")
    assert run.stopped == "timeout"
    assert patient.stopped == ""
    assert case.stuck == []


def test_a_run_that_goes_on_after_the_grace_is_stuck(case: Case) -> None:
    run = a_run()
    case.watchdog.watch(run, 10)
    case.stage.clock.advance(15.1)
    until(lambda: case.stuck, "the run to be found stuck")
    assert case.stuck == [run]
    assert run.stuck


def test_a_run_that_ended_is_forgotten(case: Case) -> None:
    ended, other = a_run(1), a_run(2)
    case.watchdog.watch(ended, 10)
    case.watchdog.watch(other, 10)
    case.watchdog.forget(ended)
    case.stage.clock.advance(100)
    until(lambda: case.stuck, "the other run to be found stuck")
    assert ended.stopped == ""


def test_the_first_reason_to_stop_stays(case: Case) -> None:
    run = a_run()
    case.watchdog.watch(run, 10)
    run.stop("cancelled")
    case.stage.clock.advance(16)
    until(lambda: case.stuck, "the run to be found stuck")
    assert run.stopped == "cancelled"
