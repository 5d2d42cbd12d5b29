"""A running task is told about its job, and when it should end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from headrace.app import App
from headrace.context import Context, Workplace
from headrace.ending import RunTimeout
from headrace.errors import InvalidOption, LeaseLost, UsageError
from headrace.job import Progress
from headrace.outcome import Cancel, Release
from headrace.task import Task
from headrace.write import Lease
from tests.unit.running import claim


@dataclass
class Running:
    """A run as a worker knows it."""

    lease: Lease
    lease_until: float
    due: float | None = None
    began: float = 0.0
    stopped: str = ""
    settled: bool = False


class Clock:
    """Stands at the twentieth second."""

    def now(self) -> float:
        return 20.0

    def monotonic(self) -> float:
        return 20.0

    def boot(self) -> str:
        return "boot"


@pytest.fixture
def reported() -> list[tuple[str, Progress]]:
    return []


@pytest.fixture
def work(app: App) -> Task[[], str, Any]:
    @app.task
    def work(ctx: Context) -> str:
        return ctx.job_id

    return work


@pytest.fixture
def run(app: App, work: Task[[], str, Any]) -> Running:
    work.using(tags=["a"], headers={"k": "v"}, trace="00-x", queue="images").submit()
    return Running(claim(app)[0], lease_until=30.0)


@pytest.fixture
def ctx(
    app: App, work: Task[[], str, Any], run: Running, reported: list[tuple[str, Progress]]
) -> Context:
    workplace = Workplace(
        intake=app.intake,
        clock=Clock(),
        deadline=5,
        max_result=100,
        report=lambda job_id, progress: reported.append((job_id, progress)),
    )
    return Context(run, work.returns, workplace)


def test_it_tells_of_the_job(ctx: Context, run: Running) -> None:
    assert ctx.job_id == ctx.idempotency_key == run.lease.message.id
    assert (ctx.task, ctx.queue, ctx.attempt, ctx.lost) == ("work", "images", 1, 0)
    assert (ctx.tags, ctx.headers, ctx.trace) == (("a",), {"k": "v"}, "00-x")
    assert repr(ctx) == f"<Context of work {ctx.job_id}, attempt 1>"


def test_it_tells_the_time_left(ctx: Context, run: Running) -> None:
    assert ctx.deadline is None
    run.due = 25.0
    left = ctx.deadline
    assert left == 5.0


def test_it_reports_progress(ctx: Context, reported: list[tuple[str, Progress]]) -> None:
    ctx.progress(3, total=12, note="april")
    ctx.progress(4)
    assert reported == [(ctx.job_id, Progress(3, 12, "april")), (ctx.job_id, Progress(4))]


def test_progress_is_kept_as_what_can_be_stored(
    ctx: Context, reported: list[tuple[str, Progress]]
) -> None:
    ctx.progress(Decimal("1.5"), 10**15, "caf\udce9")  # type: ignore[arg-type] # it has a float
    ((_, progress),) = reported
    assert msgspec.json.decode(msgspec.json.encode(progress), type=Progress) == progress
    assert progress == Progress(1.5, 1e15, "caf?")


@pytest.mark.parametrize(
    "told",
    [
        {"done": math.nan},
        {"done": "1"},
        {"done": object()},
        {"done": None},
        {"done": 10**400},
        {"done": 1, "total": math.inf},
        {"done": 1, "note": None},
        {"done": 1, "note": b"no text"},
    ],
)
def test_progress_that_is_none_is_refused(
    ctx: Context, reported: list[tuple[str, Progress]], told: dict[str, Any]
) -> None:
    with pytest.raises(InvalidOption, match=f"ctx.progress\\({list(told)[-1]}="):
        ctx.progress(**told)
    assert reported == []


def test_a_run_may_go_on_until_somebody_objects(ctx: Context) -> None:
    assert not ctx.cancelled
    ctx.check()


@pytest.mark.parametrize(
    ("stopped", "error"),
    [("cancelled", Cancel), ("timeout", RunTimeout), ("stopping", Release), ("lost", LeaseLost)],
)
def test_a_run_is_told_why_it_should_end(
    ctx: Context, run: Running, stopped: str, error: type[Exception]
) -> None:
    run.stopped = stopped
    assert ctx.cancelled
    with pytest.raises(error):
        ctx.check()


def test_a_lease_that_ran_out_counts_as_lost(ctx: Context, run: Running) -> None:
    run.lease_until = 20.0
    assert ctx.cancelled
    with pytest.raises(LeaseLost, match="no longer this worker's"):
        ctx.check()
    with pytest.raises(LeaseLost, match="no longer this worker's"):
        ctx.transaction()


def test_a_transaction_completes_the_job_once(ctx: Context, run: Running, app: App) -> None:
    with ctx.transaction() as tx:
        tx.done("x")
        before = run.settled
    assert (before, run.settled) == (False, True)
    assert app.job(ctx.job_id).result(5) == "x"
    with pytest.raises(UsageError, match="its one transaction has committed"):
        ctx.transaction()


def test_a_result_over_the_limit_is_refused_in_the_transaction(ctx: Context, run: Running) -> None:
    with (
        pytest.raises(ValueError, match="work: the result takes 102 bytes"),
        ctx.transaction() as tx,
    ):
        tx.done("x" * 100)
    assert not run.settled
