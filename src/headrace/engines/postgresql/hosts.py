"""Hosts: connections of the caller's own, and how statements are asked on them.

Whatever the caller made of a connection, be it row factories, adapters or cursor classes, is passed
by, and left as it was. Statements are prepared if the caller's own are. No driver is imported that
the caller did not import.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import AsyncRawCursor, RawCursor
from psycopg.adapt import AdaptersMap
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from headrace.engines.postgresql.plan import Ask, Rows, Statement
from headrace.errors import UsageError

AwaitedAsk = Callable[[Statement], Awaitable[Rows]]

_ACCEPTED = (
    "a connection of psycopg 3 or asyncpg, a connection or session of SQLAlchemy 2 over one of"
    " them, or Django's `connection`"
)
_DRIVERS = "use its dialect postgresql+psycopg or postgresql+asyncpg"
_PLAIN = AdaptersMap(psycopg.adapters)


class BlockingHost:
    """A connection that blocks.

    Args:
        connection: what the caller gave.
        unwrap: finds psycopg's connection in it, with a transaction begun if the library that wraps
            it begins one by itself.
    """

    def __init__(
        self, connection: object, unwrap: Callable[[Any], psycopg.Connection[Any]]
    ) -> None:
        self.name = _name(connection)
        self._connection = connection
        self._unwrap = unwrap

    def enter(self) -> Ask:
        """Return what runs a statement; to be called in the caller's thread, as that is."""
        connection = self._unwrap(self._connection)
        _refuse_pipeline(connection)

        def ask(statement: Statement) -> Rows:
            text, parameters = statement
            cursor = _Cursor(connection, row_factory=tuple_row)
            cursor.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []

        return ask


class AwaitedHost:
    """A connection of asyncio.

    Args:
        connection: what the caller gave.
        unwrap: finds the driver's connection in it, as for a `BlockingHost`.
    """

    def __init__(self, connection: object, unwrap: Callable[[Any], Awaitable[Any]]) -> None:
        self.name = _name(connection)
        self._connection = connection
        self._unwrap = unwrap

    async def enter(self) -> AwaitedAsk:
        """Return what runs a statement; to be awaited in the caller's task, as that is."""
        connection = await self._unwrap(self._connection)
        if not isinstance(connection, psycopg.AsyncConnection):
            return _asking_asyncpg(connection)
        _refuse_pipeline(connection)

        async def ask(statement: Statement) -> Rows:
            text, parameters = statement
            cursor = _AsyncCursor(connection, row_factory=tuple_row)
            await cursor.execute(text, parameters or None)
            return await cursor.fetchall() if cursor.description else []

        return ask


Host = BlockingHost | AwaitedHost


def host_of(connection: object) -> Host:
    """Return how to speak on a connection.

    Raises:
        UsageError: it is none, or one of a driver that is not known here.
    """
    for module, names, make in _KINDS:
        if _is(connection, module, *names):
            return make(connection)
    if _is_django(connection):
        return BlockingHost(connection, _in_django)
    raise UsageError(
        f"the PostgreSQL engine cannot join the transaction of a {_name(connection)}: give it"
        f" {_ACCEPTED}"
    )


class _Cursor(RawCursor[Any]):
    """A cursor without the connection's own adapters."""

    @property
    def adapters(self) -> AdaptersMap:
        return _PLAIN


class _AsyncCursor(AsyncRawCursor[Any]):
    """A cursor without the connection's own adapters."""

    @property
    def adapters(self) -> AdaptersMap:
        return _PLAIN


def _asking_asyncpg(connection: Any) -> AwaitedAsk:
    async def ask(statement: Statement) -> Rows:
        text, parameters = statement
        return [tuple(row) for row in await connection.fetch(text, *parameters)]

    return ask


# What is in what ----------------------------------------------------------------------------------


def _itself(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    return connection


async def _awaited_itself(connection: Any) -> Any:
    return connection


def _in_sqlalchemy(connection: Any) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise UsageError(f"SQLAlchemy has a {_name(driver)} here: {_DRIVERS}")
    if driver.info.transaction_status == TransactionStatus.IDLE:
        # A statement that SQLAlchemy knows of, so that it begins, and later commits.
        connection.exec_driver_sql("select 1")
    return driver


def _in_session(session: Any) -> psycopg.Connection[Any]:
    return _in_sqlalchemy(session.connection())


async def _in_async_sqlalchemy(connection: Any) -> Any:
    driver = (await connection.get_raw_connection()).driver_connection
    if isinstance(driver, psycopg.AsyncConnection):
        idle = driver.info.transaction_status == TransactionStatus.IDLE
    elif _is(driver, "asyncpg.connection", "Connection"):
        idle = not driver.is_in_transaction()
    else:
        raise UsageError(f"SQLAlchemy has a {_name(driver)} here: {_DRIVERS}")
    if idle:
        await connection.exec_driver_sql("select 1")
    return driver


async def _in_async_session(session: Any) -> Any:
    return await _in_async_sqlalchemy(await session.connection())


def _in_django(connection: Any) -> psycopg.Connection[Any]:
    connection.validate_thread_sharing()
    if connection.needs_rollback:
        raise UsageError(
            "an error ended Django's transaction before: no more can be done until the end of its"
            " `atomic` block"
        )
    connection.ensure_connection()
    driver = connection.connection
    if not isinstance(driver, psycopg.Connection):
        raise UsageError(f"Django has a {_name(driver)} here: install psycopg 3, which it prefers")
    return driver


_KINDS: tuple[tuple[str, tuple[str, ...], Callable[[object], Host]], ...] = (
    ("psycopg", ("Connection",), lambda given: BlockingHost(given, _itself)),
    ("psycopg", ("AsyncConnection",), lambda given: AwaitedHost(given, _awaited_itself)),
    ("asyncpg.connection", ("Connection",), lambda given: AwaitedHost(given, _awaited_itself)),
    ("asyncpg.pool", ("PoolConnectionProxy",), lambda given: AwaitedHost(given, _awaited_itself)),
    ("sqlalchemy.engine", ("Connection",), lambda given: BlockingHost(given, _in_sqlalchemy)),
    (
        "sqlalchemy.orm",
        ("Session", "scoped_session"),
        lambda given: BlockingHost(given, _in_session),
    ),
    (
        "sqlalchemy.ext.asyncio",
        ("AsyncConnection",),
        lambda given: AwaitedHost(given, _in_async_sqlalchemy),
    ),
    (
        "sqlalchemy.ext.asyncio",
        ("AsyncSession", "async_scoped_session"),
        lambda given: AwaitedHost(given, _in_async_session),
    ),
)


def _is(connection: object, module: str, *names: str) -> bool:
    """Whether it is of a type that only those have who imported its module."""
    imported = sys.modules.get(module)
    kinds = tuple(kind for name in names if isinstance(kind := getattr(imported, name, None), type))
    return isinstance(connection, kinds)


def _is_django(connection: object) -> bool:
    """Whether it is a connection of Django's, or what stands for the one of this thread."""
    if "django.db" not in sys.modules:
        return False
    return getattr(connection, "vendor", "") == "postgresql" and hasattr(
        connection, "ensure_connection"
    )


def _refuse_pipeline(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise UsageError("the connection is in pipeline mode: submit before or after that block")


def _name(thing: object) -> str:
    kind = type(thing)
    return f"{kind.__module__.partition('.')[0]} {kind.__name__}"
