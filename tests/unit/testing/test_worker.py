"""A drain runs what is due as a worker does, in a known order, and raises what nobody expected."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from msgspec import Raw

from headrace.app import App
from headrace.context import Context
from headrace.errors import BlockingCall, EngineBusy, JobDead, JobNotFound, StorageFull, UsageError
from headrace.job import Job
from headrace.message import VERSION, Message
from headrace.outcome import Cancel, Dead, Release, Retry, Snooze
from headrace.record import Record, State
from headrace.reply import Reply
from headrace.task import Task
from headrace.testing.clock import ManualClock
from headrace.testing.worker import adrain, drain
from headrace.write import PauseQueue, Send, Settle

Echo = Task[[int], int, Any]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock) -> Iterator[App]:
    app = App("memory:", clock=clock)
    yield app
    app.close()


@pytest.fixture
def echo(app: App) -> Echo:
    @app.task
    def echo(n: int) -> int:
        return n

    return echo


def states(ran: list[Record]) -> list[State]:
    return [record.state for record in ran]


def send(app: App, **fields: Any) -> None:
    """Send a message that no task of this App would send."""
    message = Message(v=VERSION, id=app.ids.job_id(), **fields)
    app.engine.apply(Send((message,))).wait(5)


def test_it_runs_everything_in_the_order_of_a_worker(app: App, echo: Echo) -> None:
    jobs = app.submit([echo.call(1), echo.using(priority=5).call(2), echo.call(3)])
    ran = drain(app)
    assert [record.id for record in ran] == [jobs[1].id, jobs[0].id, jobs[2].id]
    assert [job.result(5) for job in jobs] == [1, 2, 3]
    assert drain(app) == []


def test_jobs_of_jobs_are_run_as_well(app: App) -> None:
    @app.task
    def count(n: int) -> int:
        if n:
            count.submit(n - 1)
        return n

    count.submit(3)
    assert len(drain(app)) == 4


def test_all_kinds_of_tasks_run_here(app: App) -> None:
    @app.task
    def plain() -> bool:
        return threading.current_thread() is threading.main_thread()

    @app.task(process=True)
    def child() -> bool:
        return threading.current_thread() is threading.main_thread()

    @app.task(process=True)
    async def coroutine() -> bool:
        await asyncio.sleep(0)
        return threading.current_thread() is threading.main_thread()

    jobs = [plain.submit(), child.submit(), coroutine.submit()]
    drain(app)
    assert [job.result(5) for job in jobs] == [True, True, True]


def test_awaited_it_runs_coroutines_on_this_loop_and_functions_beside_it(app: App) -> None:
    loops = []

    @app.task
    async def on_loop() -> None:
        loops.append(asyncio.get_running_loop())

    @app.task
    def beside() -> None:
        on_loop.submit()  # which blocks, and so would be refused on the loop

    async def main() -> bool:
        await beside.asubmit()
        ran = await adrain(app)
        assert states(ran) == [State.SUCCEEDED, State.SUCCEEDED]
        return loops == [asyncio.get_running_loop()]

    assert asyncio.run(main())


def test_a_drain_would_block_a_loop(app: App) -> None:
    async def main() -> None:
        drain(app)

    with pytest.raises(BlockingCall, match=r"await adrain\(\.\.\.\)"):
        asyncio.run(main())


def test_retries_and_delays_wait_for_the_clock(app: App, clock: ManualClock, echo: Echo) -> None:
    attempts: list[int] = []

    @app.task(retry=Retry(delay=60, jitter=0))
    def flaky(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ConnectionError
        return "well"

    job = flaky.submit()
    echo.using(delay=30).submit(1)
    assert states(drain(app, expected=ConnectionError)) == [State.SCHEDULED]
    clock.advance(30)
    assert [record.message.task for record in drain(app)] == ["echo"]
    clock.advance(30)
    assert states(drain(app)) == [State.SUCCEEDED]
    assert (attempts, job.result(5)) == ([1, 2], "well")


def test_an_unexpected_exception_is_raised_as_it_was(app: App, echo: Echo) -> None:
    error = ValueError("no flour")

    @app.task
    def bake() -> None:
        raise error

    job = bake.submit()
    echo.submit(1)
    with pytest.raises(ValueError, match="no flour") as caught:
        drain(app)
    assert caught.value is error
    assert caught.traceback[-1].name == "bake"
    assert f"job {job.id}" in error.__notes__[0]
    assert "drain(expected=ValueError)" in error.__notes__[0]
    # What became of it is stored all the same, and the others have their turn.
    assert job.state is State.SCHEDULED
    assert [record.message.task for record in drain(app)] == ["echo"]


def test_an_expected_one_becomes_what_the_policy_says(app: App) -> None:
    @app.task(retry=Retry(attempts=1))
    async def bake() -> None:
        logging.getLogger("bakery").warning("the oven is cold")
        raise ValueError("no flour")

    bake.submit()
    (record,) = drain(app, expected=(KeyError, ValueError))
    assert record.state is State.DEAD
    assert record.failure is not None
    assert (record.failure.cause, record.failure.type) == ("attempts-spent", "ValueError")
    assert "the oven is cold" in record.failure.logs[0]
    assert "execution.py" not in record.failure.traceback


def test_outcomes_are_no_exceptions(app: App) -> None:
    @app.task
    def outcome(name: str) -> None:
        raise {"retry": Retry(delay=60), "snooze": Snooze(60), "cancel": Cancel(), "dead": Dead()}[
            name
        ]

    for name in ("retry", "snooze", "cancel", "dead"):
        outcome.submit(name)
    expected = [State.SCHEDULED, State.SCHEDULED, State.CANCELLED, State.DEAD]
    assert states(drain(app)) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "unknown", "body": Raw(b"{}")}, "no task is called 'unknown' here"),
        ({"task": "echo", "body": Raw(b'{"n": "x"}')}, "invalid-arguments"),
        ({"task": "liar", "body": Raw(b"{}")}, "result-rejected"),
    ],
)
def test_a_job_that_cannot_be_run_is_raised(
    app: App, echo: Echo, fields: dict[str, Any], message: str
) -> None:
    @app.task
    def liar() -> object:
        return object()

    send(app, **fields)
    with pytest.raises(JobDead, match=message):
        drain(app)
    send(app, **fields)
    assert states(drain(app, expected=JobDead)) == [State.DEAD]
    assert echo(1) == 1


def test_an_exit_ends_the_test_unless_it_is_expected(app: App) -> None:
    @app.task
    def leave() -> None:
        raise SystemExit(3)

    leave.submit()
    with pytest.raises(SystemExit):
        drain(app, expected=Exception)
    leave.submit()
    assert states(drain(app, expected=SystemExit)) == [State.SCHEDULED]


def test_a_drain_without_end_ends(app: App) -> None:
    @app.task
    def again() -> None:
        raise Release

    again.submit()
    with pytest.raises(UsageError, match="7 runs and no end"):
        drain(app, limit=7)


def test_a_caller_that_is_cancelled_does_not_go_on(app: App) -> None:
    begun = asyncio.Event()

    @app.task
    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        await wait.asubmit()
        await wait.asubmit()
        draining = asyncio.create_task(adrain(app, expected=BaseException))
        await begun.wait()
        draining.cancel()
        await draining

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert app.engine.depth().wait(5)[0].ready == 1


def test_runs_have_context_variables_of_their_own(app: App) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    @app.task
    def plain() -> str:
        found = variable.get()
        variable.set("task's")
        return found

    @app.task
    async def coroutine() -> str:
        found = variable.get()
        variable.set("task's")
        return found

    variable.set("test's")
    jobs = [plain.submit(), coroutine.submit(), plain.submit()]
    drain(app)
    assert [job.result(5) for job in jobs] == ["unset"] * 3
    assert variable.get() == "test's"


def test_middleware_is_around_every_kind(clock: ManualClock) -> None:
    told: list[str] = []

    @contextmanager
    def tell(context: Context) -> Iterator[None]:
        told.append(context.task)
        yield

    with App("memory:", clock=clock, middleware=[tell]) as app:

        @app.task
        async def coroutine() -> None: ...

        @app.task(process=True)
        def child() -> None: ...

        app.submit([coroutine.call(), child.call()])
        assert states(drain(app)) == [State.SUCCEEDED, State.SUCCEEDED]
    assert told == ["coroutine", "child"]


def test_paused_queues_stay_paused_and_late_jobs_end(
    app: App, clock: ManualClock, echo: Echo
) -> None:
    app.engine.apply(PauseQueue("images")).wait(5)
    echo.using(queue="images").submit(1)
    late = echo.using(expires=10).submit(2)
    clock.advance(11)
    assert drain(app) == []
    assert late.state is State.DEAD


def test_finished_jobs_are_pruned_in_their_time(app: App, clock: ManualClock, echo: Echo) -> None:
    job = echo.submit(1)
    drain(app)
    clock.advance(8 * 86_400)
    assert job.state is State.SUCCEEDED
    drain(app)
    with pytest.raises(JobNotFound):
        app.job(job.id)


def test_a_task_may_let_much_time_pass(app: App, clock: ManualClock) -> None:
    @app.task
    def wait(ctx: Context) -> float:
        clock.advance(86_400)
        ctx.check()
        return clock.now()

    job = wait.submit()
    assert states(drain(app)) == [State.SUCCEEDED]
    assert job.result(5) == clock.now()


def test_progress_and_transactions_work(app: App, echo: Echo) -> None:
    @app.task
    async def report(ctx: Context) -> str:
        ctx.progress(3, total=12)
        async with ctx.transaction() as tx:
            await tx.submit([echo.call(7)])
            tx.done("sent")
        return "counts no more"

    job = report.submit()
    assert [record.message.task for record in drain(app)] == ["report", "echo"]
    assert job.result(5) == "sent"
    progress = job.progress()
    assert progress is not None
    assert progress.done == 3


def test_callbacks_have_been_called_when_the_result_is_there(app: App, echo: Echo) -> None:
    called: list[Job[int]] = []
    job = echo.submit(1)
    job.add_done_callback(called.append)
    drain(app)
    assert job.result(5) == 1
    assert called == [job]


def test_an_outcome_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with App("memory:", deadline=0.05) as app:

        @app.task
        def work() -> None: ...

        apply = app.engine.apply

        def full(write: Any, tx: Any = None) -> Reply[Any]:
            refused: Reply[Any] = Reply.failed(StorageFull("the disk is full"))
            return refused if isinstance(write, Settle) else apply(write, tx)

        monkeypatch.setattr(app.engine, "apply", full)
        work.submit()
        with pytest.raises(EngineBusy, match=r"could not be written within 0\.05 s"):
            drain(app)


def test_a_loop_that_the_test_has_set_stays_set(app: App) -> None:
    @app.task
    async def coroutine() -> None: ...

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        coroutine.submit()
        drain(app)
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()
