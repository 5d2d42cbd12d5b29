"""On the worker's side: a task's writes, its new jobs and its completion are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from headrace import App, Context
from headrace.record import Cause, Failure, Filter, State
from headrace.testing import adrain, drain
from headrace.write import Reclaim
from tests.conformance.callers import program
from tests.postgresql import Place

Words = Callable[[], list[str]]


@pytest.fixture
def table(postgresql: Place) -> Iterator[str]:
    """Give a table of the user's own."""
    name = f"{postgresql.schema}_effect"
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        connection.execute(sql.SQL("create table {} (word text)").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))


@pytest.fixture
def words(postgresql: Place, table: str) -> Words:
    """Give what tells the committed words."""

    def words() -> list[str]:
        with psycopg.connect(postgresql.server) as connection:
            rows = connection.execute(sql.SQL("select word from {}").format(sql.Identifier(table)))
            return [word for (word,) in rows]

    return words


@pytest.fixture
def app(postgresql: Place, table: str) -> Iterator[App]:
    """Give an App with tasks that write, submit and complete, and then do what they are told."""
    app = program(postgresql.url)
    echo = app.registry.get("echo")
    insert = f"insert into {table} values ($1)"  # noqa: S608 - the name is ours

    reclaimed: list[str] = []

    def meanwhile(ctx: Context, fate: str) -> None:
        if fate == "fails":
            raise RuntimeError(fate)
        if fate == "is reclaimed" and not reclaimed:
            holder = app.engine.get([ctx.job_id]).wait(10)[ctx.job_id].holder
            answer = app.engine.apply(
                Reclaim(holder, Failure(cause=Cause.LEASE_LOST), counted=False)
            )
            reclaimed.extend(answer.wait(10).returned)
        if fate == "is cut off":
            with psycopg.connect(postgresql.server, autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where state = 'idle in transaction' and datname = current_database()"
                    " and query like 'release savepoint statement%'"
                )

    @app.task
    def work(ctx: Context, fate: str) -> None:
        with ctx.transaction() as tx:
            tx.submit([echo.call("next")])
            tx.execute(insert, (fate,))
            meanwhile(ctx, fate)

    @app.task
    async def awaited_work(ctx: Context, fate: str) -> None:
        async with ctx.transaction() as tx:
            await echo.using(tx=tx).asubmit("next")
            await tx.execute(insert, (fate,))
            await asyncio.to_thread(meanwhile, ctx, fate)

    with app:
        yield app


def test_all_of_it_comes_about(app: App, words: Words) -> None:
    job = app.registry.get("work").submit("ends well")
    records = drain(app)
    assert words() == ["ends well"]
    assert job.state is State.SUCCEEDED
    assert [record.message.task.rpartition(".")[2] for record in records] == ["work", "echo"]


def test_all_of_it_comes_about_when_it_is_awaited(app: App, words: Words) -> None:
    async def story() -> list[State]:
        await app.registry.get("awaited_work").asubmit("ends well")
        return [record.state for record in await adrain(app)]

    assert asyncio.run(story()) == [State.SUCCEEDED, State.SUCCEEDED]
    assert words() == ["ends well"]


@pytest.mark.parametrize("task", ["work", "awaited_work"])
def test_a_lost_lease_undoes_it_and_it_comes_about_once(app: App, words: Words, task: str) -> None:
    job = app.registry.get(task).submit("is reclaimed")
    drain(app, limit=20)
    assert words() == ["is reclaimed"]
    assert job.state is State.SUCCEEDED
    assert len(app.engine.find(Filter(tasks=("echo",))).wait(10).records) == 1


@pytest.mark.parametrize("task", ["work", "awaited_work"])
@pytest.mark.parametrize("fate", ["fails", "is cut off"])
def test_or_nothing_of_it_does(app: App, words: Words, task: str, fate: str) -> None:
    job = app.registry.get(task).submit(fate)
    drain(app, expected=(Exception,), limit=20)
    assert words() == []
    assert job.state is State.SCHEDULED
    (status,) = app.engine.depth(["default"]).wait(10)
    assert status.depth == 1
