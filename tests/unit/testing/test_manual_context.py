"""A Context for a plain call tells what a test wants it to, and keeps what the task says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.app import App
from headrace.context import Context
from headrace.ending import RunTimeout
from headrace.errors import LeaseLost, UsageError
from headrace.job import Progress
from headrace.outcome import Cancel, Release
from headrace.testing.manual_context import ManualContext, context
from headrace.worker.run import Stopped


@pytest.fixture
def app() -> Iterator[App]:
    app = App("memory:")
    yield app
    app.close()


def test_without_a_task_it_tells_the_least() -> None:
    ctx = context()
    assert (ctx.task, ctx.queue, ctx.attempt, ctx.lost) == ("task", "default", 1, 0)
    assert (ctx.headers, ctx.tags, ctx.trace, ctx.deadline) == ({}, (), None, None)
    assert ctx.job_id == ctx.idempotency_key
    assert not ctx.cancelled
    ctx.check()


def test_it_tells_what_it_is_told_to() -> None:
    ctx = context(attempt=2, lost=1, headers={"user": "7"}, tags=["april"])
    assert (ctx.attempt, ctx.lost, ctx.headers, ctx.tags) == (2, 1, {"user": "7"}, ("april",))


def test_a_task_brings_its_options(app: App) -> None:
    @app.task(queue="reports", tags=["monthly"], timeout=60)
    def report(ctx: Context, month: str) -> str:
        ctx.progress(1, total=2, note=month)
        ctx.progress(2)
        return f"{ctx.queue} {ctx.tags}"

    ctx = context(report.using(headers={"user": "7"}, trace="00-x"))
    assert report(ctx, "april") == "reports ('monthly',)"
    assert ctx.reported == [Progress(1, 2, "april"), Progress(2)]
    assert (ctx.task, ctx.headers, ctx.trace, ctx.deadline) == ("report", {"user": "7"}, "00-x", 60)
    assert context(report, tags=[]).tags == ()


@pytest.mark.parametrize(
    ("reason", "error"),
    [("cancelled", Cancel), ("timeout", RunTimeout), ("stopping", Release), ("lost", LeaseLost)],
)
def test_it_can_be_stopped_and_let_go_on(reason: Stopped, error: type[Exception]) -> None:
    ctx = context()
    ctx.stop(reason)
    assert ctx.cancelled
    with pytest.raises(error):
        ctx.check()
    ctx.stop("")
    ctx.check()


def test_it_says_that_it_has_no_engine() -> None:
    ctx = context()
    with pytest.raises(UsageError, match=r"test\.context\(task\)"):
        ctx.transaction()
    assert not ctx.settled
    assert isinstance(ctx, ManualContext)
