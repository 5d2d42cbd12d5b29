"""A task's writes, its new jobs and its completion are one, for both kinds of callers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.app import App
from headrace.errors import BlockingCall, JobNotFound, LeaseLost
from headrace.job import Job
from headrace.outcome import Done
from headrace.record import State
from headrace.task import Task
from headrace.transaction import Completion
from tests.unit.running import claim, settle

Pay = Task[[int], str, Any]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App(f"sqlite:///{tmp_path}/a.db") as app:
        tx = app.engine.begin()
        tx.execute("CREATE TABLE orders (number INTEGER)").wait(5)
        tx.commit().wait(5)
        yield app


@pytest.fixture
def pay(app: App) -> Pay:
    @app.task
    def pay(order: int) -> str:
        return f"paid {order}"

    return pay


@pytest.fixture
def job(pay: Pay) -> Job[str]:
    return pay.submit(1)


@pytest.fixture
def settled() -> list[bool]:
    return []


@pytest.fixture
def block(app: App, pay: Pay, job: Job[str], settled: list[bool]) -> Completion:
    [lease] = claim(app)
    assert lease.job_id == job.id
    encode = pay.returns.encode
    return Completion(
        lease, app.intake, encode, lambda: settled.append(True), lambda: 2.5, deadline=5
    )


def orders(app: App) -> list[tuple[Any, ...]]:
    tx = app.engine.begin()
    rows = tx.execute("SELECT number FROM orders").wait(5)
    tx.rollback().wait(5)
    return rows


def test_everything_is_written_at_the_end(
    app: App, pay: Pay, job: Job[str], block: Completion, settled: list[bool]
) -> None:
    with block as tx:
        tx.execute("INSERT INTO orders VALUES (?)", (1,))
        assert tx.execute("SELECT number FROM orders") == [(1,)]
        [batch] = tx.submit([pay.call(2)])
        single = pay.using(tx=tx).submit(3)
        tx.done("paid")
        assert settled == []
    assert settled == [True]
    assert job.result(5) == "paid"
    assert orders(app) == [(1,)]
    assert {batch.state, single.state} == {State.READY}


def test_everything_is_written_for_a_coroutine(
    app: App, pay: Pay, job: Job[str], block: Completion, settled: list[bool]
) -> None:
    async def run() -> list[Job[Any]]:
        async with block as tx:
            await tx.execute("INSERT INTO orders VALUES (?)", (1,))
            assert await tx.execute("SELECT number FROM orders") == [(1,)]
            jobs = await tx.submit([pay.call(2)])
            jobs.append(await pay.using(tx=tx).asubmit(3))
            tx.done("paid")
        return jobs

    new = asyncio.run(run())
    assert settled == [True]
    assert job.result(5) == "paid"
    assert orders(app) == [(1,)]
    assert {other.state for other in new} == {State.READY}


@pytest.mark.parametrize("awaiting", [False, True])
def test_an_exception_undoes_everything(
    app: App, pay: Pay, job: Job[str], block: Completion, settled: list[bool], *, awaiting: bool
) -> None:
    new: list[Job[Any]] = []

    def blocking() -> None:
        with block as tx:
            tx.execute("INSERT INTO orders VALUES (1)")
            new.extend(tx.submit([pay.call(2)]))
            raise ZeroDivisionError

    async def coroutine() -> None:
        async with block as tx:
            await tx.execute("INSERT INTO orders VALUES (1)")
            new.extend(await tx.submit([pay.call(2)]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(coroutine()) if awaiting else blocking()
    assert settled == []
    assert job.state is State.RUNNING
    assert orders(app) == []
    with pytest.raises(JobNotFound):
        new[0].refresh()


def test_done_completes_it(app: App, job: Job[str], block: Completion, settled: list[bool]) -> None:
    def end_early() -> None:
        with block as tx:
            tx.execute("INSERT INTO orders VALUES (1)")
            raise Done("early")

    with pytest.raises(Done):
        end_early()
    assert settled == [True]
    assert job.result(5) == "early"
    assert orders(app) == [(1,)]


def test_a_lost_lease_undoes_everything(
    app: App, job: Job[str], block: Completion, settled: list[bool]
) -> None:
    settle(app, block._lease, State.CANCELLED)

    def complete() -> None:
        with block as tx:
            tx.done("paid")
            tx.execute("INSERT INTO orders VALUES (1)")

    with pytest.raises(LeaseLost):
        complete()
    assert settled == []
    assert job.state is State.CANCELLED
    assert orders(app) == []


def test_a_result_that_was_promised_must_be_given(
    app: App, job: Job[str], block: Completion, settled: list[bool]
) -> None:
    with (
        pytest.raises(ValueError, match="pay: the result: expected `str`, got `null`"),
        block as tx,
    ):
        tx.execute("INSERT INTO orders VALUES (1)")
    assert settled == []
    assert job.state is State.RUNNING
    assert orders(app) == []


def test_a_block_that_blocks_is_refused_on_a_loop(block: Completion) -> None:
    async def run() -> None:
        with block:
            raise AssertionError("not to be reached")

    with pytest.raises(BlockingCall, match=r"write `async with ctx\.transaction\(\)`"):
        asyncio.run(run())
