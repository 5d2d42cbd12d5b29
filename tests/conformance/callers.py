"""Programs with a connection of their own: each kind of connection, in the same few steps.

Run as `python -m tests.conformance.callers KIND SERVER URL STATEMENT` it submits in a transaction
that it leaves open, tells so, and waits to be killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import django
import psycopg
import sqlalchemy
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from headrace import App, Job
from headrace.task import Call

T = TypeVar("T")


class Caller:
    """A program with a blocking connection.

    Args:
        server: the URL of the database.
        app: what accepts its calls.

    Attributes:
        tx: what it gives to `submit`.
        connection: what it runs its own statements on.
    """

    tx: Any
    connection: Any

    def __init__(self, server: str, app: App) -> None:
        self.app = app
        self.server = server
        self.connect()

    def connect(self) -> None:
        """Connect, without a transaction of the caller's making."""
        raise NotImplementedError

    def begin(self) -> None:
        """Begin a transaction, where it does not begin by itself."""

    def execute(self, sql: str) -> None:
        """Run a statement of its own."""
        self.connection.execute(sql)

    def submit(self, calls: Sequence[Call[Any]]) -> list[Job[Any]]:
        """Submit in its transaction."""
        return self.app.submit(calls, tx=self.tx)

    def commit(self) -> None:
        """Commit."""
        self.connection.commit()

    def rollback(self) -> None:
        """Roll back."""
        self.connection.rollback()

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()


class Psycopg(Caller):
    def connect(self) -> None:
        self.tx = self.connection = psycopg.connect(self.server)


class PsycopgBlock(Caller):
    """One in autocommit, with a block for its transaction."""

    def connect(self) -> None:
        self.tx = self.connection = psycopg.connect(self.server, autocommit=True)

    def begin(self) -> None:
        self.connection.execute("begin")


class SQLAlchemyConnection(Caller):
    def connect(self) -> None:
        self.engine = sqlalchemy.create_engine(_sqlalchemy_url(self.server, "psycopg"))
        self.tx = self.connection = self.engine.connect()

    def execute(self, sql: str) -> None:
        self.connection.execute(sqlalchemy.text(sql))

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()


class SQLAlchemySession(SQLAlchemyConnection):
    def connect(self) -> None:
        self.engine = sqlalchemy.create_engine(_sqlalchemy_url(self.server, "psycopg"))
        self.tx = self.connection = Session(self.engine)


class Django(Caller):
    def connect(self) -> None:
        given = conninfo_to_dict(self.server)
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": given.get("dbname"),
            "USER": given.get("user"),
            "PASSWORD": given.get("password", ""),
            "HOST": given.get("host"),
            "PORT": given.get("port", ""),
        }
        if not settings.configured:
            settings.configure(DATABASES={"default": database}, LOGGING_CONFIG=None)
            django.setup()
        from django.db import connection, transaction  # noqa: PLC0415 - reads the settings

        self.tx = self.connection = connection
        self._atomic = transaction.atomic

    def begin(self) -> None:
        self.block = self._atomic()
        self.block.__enter__()

    def execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def commit(self) -> None:
        self.block.__exit__(None, None, None)

    def rollback(self) -> None:
        error = RuntimeError("of the caller's own")
        self.block.__exit__(RuntimeError, error, None)

    def close(self) -> None:
        if self.connection.in_atomic_block:
            self.rollback()
        self.connection.close()


class AsyncCaller(Caller):
    """A program with a connection of asyncio, and a loop of its own."""

    def __init__(self, server: str, app: App) -> None:
        self.runner = asyncio.Runner()
        super().__init__(server, app)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step on the loop."""
        return self.runner.run(work)

    def connect(self) -> None:
        self.run(self.aconnect())

    async def aconnect(self) -> None:
        """Connect."""
        raise NotImplementedError

    def execute(self, sql: str) -> None:
        self.run(self.aexecute(sql))

    async def aexecute(self, sql: str) -> None:
        """Run a statement of its own."""
        await self.connection.execute(sql)

    def submit(self, calls: Sequence[Call[Any]]) -> list[Job[Any]]:
        return self.run(self.app.asubmit(calls, tx=self.tx))

    def commit(self) -> None:
        self.run(self.connection.commit())

    def rollback(self) -> None:
        self.run(self.connection.rollback())

    def close(self) -> None:
        self.run(self.aclose())
        self.runner.close()

    async def aclose(self) -> None:
        """Disconnect."""
        await self.connection.close()


class AsyncPsycopg(AsyncCaller):
    async def aconnect(self) -> None:
        self.tx = self.connection = await psycopg.AsyncConnection.connect(self.server)


class Asyncpg(AsyncCaller):
    async def aconnect(self) -> None:
        self.tx = self.connection = await asyncpg.connect(self.server)

    def begin(self) -> None:
        self.run(self._begin())

    async def _begin(self) -> None:
        self.block = self.connection.transaction()
        await self.block.start()

    def commit(self) -> None:
        self.run(self.block.commit())

    def rollback(self) -> None:
        self.run(self.block.rollback())


class AsyncpgPool(Asyncpg):
    async def aconnect(self) -> None:
        self.pool = await asyncpg.create_pool(self.server, min_size=1, max_size=1)
        self.tx = self.connection = await self.pool.acquire()

    async def aclose(self) -> None:
        await self.pool.release(self.connection)
        await self.pool.close()


class AsyncSQLAlchemy(AsyncCaller):
    driver = "psycopg"

    async def aconnect(self) -> None:
        self.engine = create_async_engine(_sqlalchemy_url(self.server, self.driver))
        self.tx = self.connection = await self._opened()

    async def _opened(self) -> Any:
        return await self.engine.connect()

    async def aexecute(self, sql: str) -> None:
        await self.connection.execute(sqlalchemy.text(sql))

    async def aclose(self) -> None:
        await self.connection.close()
        await self.engine.dispose()


class AsyncSQLAlchemySession(AsyncSQLAlchemy):
    async def _opened(self) -> Any:
        return AsyncSession(self.engine)


class AsyncSQLAlchemyAsyncpg(AsyncSQLAlchemy):
    driver = "asyncpg"


class AsyncSQLAlchemySessionAsyncpg(AsyncSQLAlchemySession):
    driver = "asyncpg"


CALLERS: dict[str, Callable[[str, App], Caller]] = {
    "psycopg": Psycopg,
    "psycopg in autocommit": PsycopgBlock,
    "psycopg, async": AsyncPsycopg,
    "asyncpg": Asyncpg,
    "asyncpg's pool": AsyncpgPool,
    "SQLAlchemy's Connection": SQLAlchemyConnection,
    "SQLAlchemy's Session": SQLAlchemySession,
    "SQLAlchemy's AsyncConnection": AsyncSQLAlchemy,
    "SQLAlchemy's AsyncSession": AsyncSQLAlchemySession,
    "SQLAlchemy's AsyncConnection over asyncpg": AsyncSQLAlchemyAsyncpg,
    "SQLAlchemy's AsyncSession over asyncpg": AsyncSQLAlchemySessionAsyncpg,
    "Django": Django,
}


def program(url: str) -> App:
    """Return an App with a task."""
    app = App(url, allow_unsafe_server=True)

    @app.task(name="echo")
    def echo(word: str) -> str:
        return word

    return app


def call(app: App, word: str, **options: Any) -> Call[Any]:
    """Return a call of the App's task."""
    return app.registry.get("echo").using(**options).call(word)


def _sqlalchemy_url(server: str, driver: str) -> str:
    return urlsplit(server)._replace(scheme=f"postgresql+{driver}").geturl()


def main(kind: str, server: str, url: str, statement: str) -> None:
    """Submit in an open transaction, and wait to be killed."""
    app = program(url)
    caller = CALLERS[kind](server, app)
    caller.begin()
    caller.execute(statement)
    (job,) = caller.submit([call(app, "killed")])
    sys.stdout.write(f"{job.id}\n")
    sys.stdout.flush()
    sys.stdin.read()
    caller.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
