"""What the parts of a worker share ends the worker when the engine fails."""

import pytest

from headrace.errors import OutcomeUnknown
from headrace.worker import Exit
from tests.unit.worker.stage import Stage


def test_a_failed_engine_ends_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.site.engine_failed(OutcomeUnknown("the disk said no", ["job-1"]))
    assert stage.ends == [Exit.ENGINE]
    assert "the disk said no" in caplog.text
    assert "OutcomeUnknown" not in caplog.text


def test_what_nobody_foresaw_is_logged_with_its_type(caplog: pytest.LogCaptureFixture) -> None:
    Stage().site.engine_failed(KeyError("surprise"))
    assert "KeyError" in caplog.text
