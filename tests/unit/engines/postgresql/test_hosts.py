"""Connections as users make them: whatever they changed on them, statements can be asked."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg import ClientCursor
from psycopg.adapt import Dumper, Loader
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from headrace.engines.postgresql import PostgreSQLEngine, hosts
from headrace.engines.postgresql.hosts import AwaitedHost, BlockingHost, host_of
from headrace.errors import DuplicateJob, UsageError
from headrace.record import State
from headrace.testing.steps import message, state
from headrace.write import Send
from tests.postgresql import Place

WAIT = 10
_EVERYTHING: dict[str, Any] = {
    "tags": ("t",),
    "unique_key": "k",
    "order_key": "o",
    "order_on_wait": "skip",
    "expires_after": 60.0,
}


def send_everything(name: str) -> Send:
    """Return a message with all that makes more statements, and a plain one."""
    return Send((message(name, **_EVERYTHING), message(f"{name}2")))


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a story on a loop."""
    asyncio.run(work)


def sqlalchemy_url(place: Place, driver: str) -> str:
    """Return the URL of a server as SQLAlchemy has it."""
    return urlsplit(place.server)._replace(scheme=f"postgresql+{driver}").geturl()


@pytest.fixture
def accepted(engine: PostgreSQLEngine) -> Iterator[None]:
    """See that the two messages came to be jobs in the end."""
    yield
    assert state(engine, "a") is State.READY
    assert state(engine, "a2") is State.READY


class _Wrong(Loader):
    def load(self, data: Any) -> str:
        raise AssertionError(bytes(data))


class _WrongDumper(Dumper):
    def dump(self, obj: Any) -> bytes:
        raise AssertionError(obj)


@pytest.mark.usefixtures("accepted")
def test_rows_adapters_and_cursors_of_psycopg(engine: PostgreSQLEngine, postgresql: Place) -> None:
    with psycopg.connect(
        postgresql.server, row_factory=dict_row, cursor_factory=ClientCursor
    ) as connection:
        for name in ("text", "int8", "int4", "float8", "bool", "json", "uuid"):
            connection.adapters.register_loader(name, _Wrong)
        for kind in (str, int, float, bool):
            connection.adapters.register_dumper(kind, _WrongDumper)
        engine.apply(send_everything("a"), engine.adopt(connection)).wait(WAIT)
        with pytest.raises(DuplicateJob):
            engine.apply(send_everything("b"), engine.adopt(connection)).wait(WAIT)


def prepared(connection: psycopg.Connection[Any]) -> int:
    """Return how many statements a connection keeps prepared."""
    row = connection.execute("select count(*) from pg_prepared_statements").fetchone()
    assert row is not None
    return int(row[0])


def test_statements_are_prepared_as_the_connection_is_set(
    engine: PostgreSQLEngine, postgresql: Place
) -> None:
    counts = []
    for threshold in (None, 0):
        with psycopg.connect(postgresql.server, prepare_threshold=threshold) as connection:
            for number in range(3):
                write = Send((message(f"{threshold} {number}"),))
                engine.apply(write, engine.adopt(connection)).wait(WAIT)
            counts.append(prepared(connection))
    assert counts[0] == 0
    assert counts[1] > 0


@pytest.mark.usefixtures("accepted")
@pytest.mark.parametrize("statement_cache_size", [0, 100])
def test_codecs_and_caches_of_asyncpg(
    engine: PostgreSQLEngine, postgresql: Place, statement_cache_size: int
) -> None:
    class Own(asyncpg.Record):  # type: ignore[misc] # it has no types
        pass

    async def story() -> None:
        connection = await asyncpg.connect(
            postgresql.server, statement_cache_size=statement_cache_size, record_class=Own
        )
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
        await connection.set_type_codec("uuid", encoder=str, decoder=str, schema="pg_catalog")
        async with connection.transaction():
            await engine.apply(send_everything("a"), engine.adopt(connection))
            with pytest.raises(DuplicateJob):
                await engine.apply(send_everything("b"), engine.adopt(connection))
        await connection.close()

    run(story())


def test_a_time_limit_of_asyncpgs_own(engine: PostgreSQLEngine, postgresql: Place) -> None:
    async def story() -> None:
        holder = await asyncpg.connect(postgresql.server)
        hasty = await asyncpg.connect(postgresql.server, command_timeout=0.2)
        async with holder.transaction():
            await engine.apply(send_everything("a"), engine.adopt(holder))
            async with hasty.transaction():
                with pytest.raises(Exception, match="time limit"):
                    await engine.apply(send_everything("b"), engine.adopt(hasty))
        await holder.close()
        await hasty.close()

    run(story())


def test_a_pipeline_is_refused(engine: PostgreSQLEngine, postgresql: Place) -> None:
    with (
        psycopg.connect(postgresql.server) as connection,
        connection.pipeline(),
        pytest.raises(UsageError, match="pipeline"),
    ):
        engine.apply(send_everything("a"), engine.adopt(connection)).wait(WAIT)


@pytest.mark.usefixtures("accepted")
def test_what_stands_for_the_session_of_a_thread(
    engine: PostgreSQLEngine, postgresql: Place
) -> None:
    database = sqlalchemy.create_engine(sqlalchemy_url(postgresql, "psycopg"))
    session = scoped_session(sessionmaker(database))
    engine.apply(send_everything("a"), engine.adopt(session)).wait(WAIT)
    session.commit()
    session.remove()
    database.dispose()


@pytest.mark.usefixtures("accepted")
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_what_stands_for_the_session_of_a_task(
    engine: PostgreSQLEngine, postgresql: Place, driver: str
) -> None:
    async def story() -> None:
        database = create_async_engine(sqlalchemy_url(postgresql, driver))
        session = async_scoped_session(async_sessionmaker(database), asyncio.current_task)
        await engine.apply(send_everything("a"), engine.adopt(session))
        await session.commit()
        await session.remove()
        await database.dispose()

    run(story())


def test_sqlalchemy_in_autocommit_is_refused(engine: PostgreSQLEngine, postgresql: Place) -> None:
    async def story() -> None:
        for driver in ("psycopg", "asyncpg"):
            database = create_async_engine(
                sqlalchemy_url(postgresql, driver), isolation_level="AUTOCOMMIT"
            )
            async with database.connect() as connection:
                with pytest.raises(UsageError, match="AsyncConnection: no transaction is open"):
                    await engine.apply(send_everything("a"), engine.adopt(connection))
            await database.dispose()

    run(story())
    database = sqlalchemy.create_engine(
        sqlalchemy_url(postgresql, "psycopg"), isolation_level="AUTOCOMMIT"
    )
    with database.connect() as connection, pytest.raises(UsageError, match="no transaction"):
        engine.apply(send_everything("a"), engine.adopt(connection)).wait(WAIT)
    database.dispose()


def test_another_driver_is_named(engine: PostgreSQLEngine) -> None:
    database = sqlalchemy.create_engine("sqlite://")
    with (
        database.connect() as connection,
        pytest.raises(UsageError, match=r"sqlite3 Connection here: use its dialect"),
    ):
        engine.apply(send_everything("a"), engine.adopt(connection)).wait(WAIT)
    database.dispose()
    wrapper = SimpleNamespace(
        validate_thread_sharing=lambda: None,
        needs_rollback=False,
        ensure_connection=lambda: None,
        connection=object(),
    )
    with pytest.raises(UsageError, match="Django has a builtins object here"):
        hosts._in_django(wrapper)


@pytest.mark.parametrize("thing", ["connection", None, object(), SimpleNamespace(vendor="x")])
def test_what_is_no_connection_is_refused(thing: object) -> None:
    with pytest.raises(UsageError, match=r"cannot join .* give it a connection of psycopg 3"):
        host_of(thing)


def test_kinds_are_told_apart(postgresql: Place) -> None:
    with psycopg.connect(postgresql.server) as connection:
        assert isinstance(host_of(connection), BlockingHost)

    async def story() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql.server) as connection:
            assert isinstance(host_of(connection), AwaitedHost)

    run(story())


def test_no_driver_is_imported_that_nobody_uses() -> None:
    program = (
        "import sys\n"
        "from headrace.engines.postgresql.hosts import host_of\n"
        "try: host_of(object())\n"
        "except Exception: pass\n"
        "assert not {'asyncpg', 'sqlalchemy', 'django'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
