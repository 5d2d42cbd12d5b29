"""Maintenance goes on while there is more to do, and ends the worker only when the engine fails."""

from collections.abc import Iterator

import pytest

from headrace.engine import Maintained
from headrace.errors import EngineBusy, EngineClosed
from headrace.worker import Exit
from headrace.worker.maintenance import Maintenance
from tests.unit.waiting import until
from tests.unit.worker.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    maintenance = Maintenance(stage.site)
    stage.engine.steps = [Maintained(pruned=9, more=True)] * 50
    stage.engine.refusals = [EngineBusy("locked")]
    maintenance.start()
    yield stage
    maintenance.stop()


def test_it_goes_on_while_there_is_more(stage: Stage) -> None:
    # One step a second, after the refusal, would take most of a minute: these come at once.
    until(lambda: not stage.engine.steps, "all steps", timeout=15)
    assert stage.ends == []


def test_a_failed_engine_ends_the_worker(stage: Stage) -> None:
    stage.engine.refusals.append(EngineClosed("gone"))
    until(lambda: stage.ends, "the worker to end")
    assert stage.ends[0] is Exit.ENGINE
