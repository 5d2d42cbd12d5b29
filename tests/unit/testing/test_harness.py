"""A harness puts an App elsewhere for a while, shows its jobs, and leaves it as it was."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.app import App
from headrace.context import Context
from headrace.engines.memory import MemoryEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import BlockingCall, ConfigError, EngineClosed, QueueFull, Unsupported
from headrace.outcome import Retry
from headrace.record import QueueLimits, Record, State
from headrace.task import Task
from headrace.testing.clock import ManualClock
from headrace.testing.harness import Harness, arguments

Echo = Task[[int], int, Any]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Give an App as programs have it: with a file."""
    app = App(f"sqlite:///{tmp_path}/headrace.db", ballast=0)
    yield app
    app.close()


@pytest.fixture
def echo(app: App) -> Echo:
    @app.task(retry=Retry(attempts=2, delay=60))
    def echo(n: int) -> int:
        return 10 // n

    return echo


def numbers(jobs: list[Record]) -> list[int]:
    return [arguments(job)["n"] for job in jobs]


def test_the_app_is_elsewhere_for_a_while(app: App, echo: Echo, tmp_path: Path) -> None:
    with Harness(app) as test:
        job = echo.submit(2)
        assert isinstance(app.engine, MemoryEngine)
        assert app.clock is test.clock
        assert [record.id for record in test.drain()] == [job.id]
        assert job.result(5) == 5
    assert not (tmp_path / "headrace.db").exists()
    kept = echo.submit(5)
    assert isinstance(app.engine, SQLiteEngine)
    with Harness(app) as test:
        assert test.jobs() == []
    assert kept.state is State.READY
    assert app.clock is not test.clock


def test_it_is_left_when_the_test_fails(app: App) -> None:
    clock = app.clock
    with pytest.raises(ZeroDivisionError), Harness(app):
        raise ZeroDivisionError
    assert app.clock is clock


def test_after_it_nothing_can_be_asked(app: App) -> None:
    with Harness(app) as test:
        pass
    with pytest.raises(EngineClosed):
        test.jobs()


def test_a_program_that_closes_its_app_loses_nothing(app: App, echo: Echo) -> None:
    with Harness(app) as test:
        with app:
            echo.submit(2)
        assert numbers(test.drain()) == [2]


def test_two_apps_share_a_clock_and_nothing_else(app: App, echo: Echo) -> None:
    other = App("memory:")

    @other.task
    def ask(n: int) -> None:
        echo.using(delay=5).submit(n)

    clock = ManualClock()
    with Harness(app, clock=clock) as ours, Harness(other, clock=clock) as theirs:
        ask.submit(2)
        assert ours.drain() == []
        assert numbers(theirs.drain()) == [2]
        clock.advance(5)
        assert numbers(ours.drain()) == [2]


def test_waits_before_retries_are_exact(app: App, echo: Echo) -> None:
    with Harness(app) as test:
        echo.submit(0)
        test.drain(expected=ZeroDivisionError)
        test.clock.advance(59.9)
        assert test.drain() == []
        test.clock.advance(0.1)
        (record,) = test.drain(expected=ZeroDivisionError)
        assert record.state is State.DEAD


def test_limits_of_queues_hold(tmp_path: Path) -> None:
    queues = {"default": QueueLimits(max_depth=1)}
    app = App(f"sqlite:///{tmp_path}/headrace.db", queues=queues)

    @app.task
    def work() -> None: ...

    with Harness(app):
        work.submit()
        with pytest.raises(QueueFull):
            work.submit()


def test_jobs_are_listed_by_task_state_and_queue(app: App, echo: Echo) -> None:
    @app.task(queue="images")
    def draw(n: int) -> None: ...

    with Harness(app) as test:
        app.submit([echo.call(1), draw.call(2), echo.using(delay=5).call(3)])
        assert numbers(test.jobs()) == [1, 2, 3]
        assert numbers(test.jobs(task=echo)) == numbers(test.jobs(task="echo")) == [1, 3]
        assert numbers(test.jobs(queue="images")) == [2]
        test.drain()
        assert numbers(test.jobs(state="succeeded")) == [1, 2]
        assert numbers(test.jobs(task=echo, state=State.SCHEDULED)) == [3]
        with pytest.raises(ValueError, match="'redy' is not a valid State"):
            test.jobs(state="redy")


def test_long_lists_are_whole(app: App, echo: Echo) -> None:
    with Harness(app) as test:
        app.submit([echo.call(n) for n in range(250)])
        assert numbers(test.jobs()) == list(range(250))


def test_arguments_that_were_not_given_are_not_there(app: App) -> None:
    @app.task
    def draw(width: int = 200) -> int:
        return width

    with Harness(app) as test:
        draw.submit()
        assert [arguments(job) for job in test.jobs()] == [{}]


def test_a_context_of_its_own_completes_a_job(app: App, echo: Echo) -> None:
    @app.task(queue="reports", unique_key="one", delay=60)
    def report(ctx: Context, month: str) -> str:
        with ctx.transaction() as tx:
            tx.submit([echo.call(2)])
            tx.done(month)
        return "counts no more"

    with Harness(app) as test:
        ctx = test.context(report, attempt=2, tags=["a"])
        assert (ctx.attempt, ctx.tags, ctx.queue, ctx.settled) == (2, ("a",), "reports", False)
        assert app.job(ctx.job_id).state is State.RUNNING
        test.clock.advance(86_400)
        report(ctx, "april")
        assert ctx.settled
        assert app.job(ctx.job_id).result(5) == "april"
        assert numbers(test.drain()) == [2]


def test_tasks_that_write_sql_have_a_file(app: App, tmp_path: Path) -> None:
    @app.task
    def pay(ctx: Context, amount: int) -> None:
        with ctx.transaction() as tx:
            tx.execute("CREATE TABLE paid (amount INTEGER)")
            tx.execute("INSERT INTO paid VALUES (?)", (amount,))

    with Harness(app) as test:
        pay.submit(3)
        with pytest.raises(Unsupported, match="has no SQL"):
            test.drain()
    with Harness(app, f"sqlite:///{tmp_path}/test.db") as test:
        job = pay.submit(3)
        test.drain()
        assert job.state is State.SUCCEEDED
        tx = app.engine.begin()
        assert tx.execute("SELECT amount FROM paid").wait(5) == [(3,)]
        tx.rollback().wait(5)
    assert not (tmp_path / "test.db-ballast").exists()


@pytest.mark.parametrize("file", [False, True])
def test_an_awaiting_test_has_all_of_it(app: App, tmp_path: Path, *, file: bool) -> None:
    @app.task
    async def ask(n: int) -> int:
        return n

    async def main() -> None:
        url = f"sqlite:///{tmp_path}/test.db" if file else "memory:"
        async with Harness(app, url) as test:
            job = await ask.asubmit(1)
            assert numbers(await test.adrain()) == [1]
            assert await job == 1
            assert numbers(await test.ajobs(task=ask, state="succeeded")) == [1]
            ctx = await test.acontext(ask)
            async with ctx.transaction() as tx:
                tx.done(4)
            assert await (await app.ajob(ctx.job_id)) == 4

    asyncio.run(main())


def test_what_would_block_a_loop_says_so(app: App) -> None:
    test = Harness(app)

    async def enter() -> None:
        with test:
            pass

    async def look() -> None:
        test.jobs()

    async def make() -> None:
        test.context()

    for call, twin in ((enter, "async with"), (look, "test.ajobs"), (make, "test.acontext")):
        with pytest.raises(BlockingCall, match=twin):
            asyncio.run(call())


def test_an_unknown_url_is_refused(app: App) -> None:
    with pytest.raises(ConfigError, match="no engine is called 'nowhere'"):
        Harness(app, "nowhere:")


def test_the_package_needs_no_pytest() -> None:
    program = "import headrace.testing, sys; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
