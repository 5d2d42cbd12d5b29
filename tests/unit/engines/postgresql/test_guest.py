"""A guest leaves a connection as it was; every kind of them is in tests/conformance."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row

from headrace.engines.postgresql import PostgreSQLEngine, guest
from headrace.engines.postgresql.guest import Guest
from headrace.engines.postgresql.home import Place as Database
from headrace.errors import (
    BlockingCall,
    DuplicateJob,
    EngineBusy,
    EngineClosed,
    HeadraceError,
    InvalidOption,
    UsageError,
)
from headrace.record import State
from headrace.reply import Reply
from headrace.testing.steps import job_id, message, send, state
from headrace.write import CancelJobs, Put, Send
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import somebody_waits

WAIT = 10


@pytest.fixture
def connection(postgresql: Place) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection of the caller's own."""
    with psycopg.connect(postgresql.server) as connection:
        yield connection
        connection.rollback()


def submit(engine: PostgreSQLEngine, connection: object, *names: str, **options: Any) -> None:
    """Send messages as a guest."""
    write = Send(tuple(message(name, **options) for name in names))
    engine.apply(write, engine.adopt(connection)).wait(WAIT)


def test_every_write_takes_part(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    send(engine, "a")
    writes = [Put("k", b"v"), CancelJobs((job_id("a"),)), Send((message("b"),))]
    stored, _, _ = engine.commit(writes, engine.adopt(connection)).wait(WAIT)
    assert stored.version == 1
    assert state(engine, "a") is State.READY
    connection.commit()
    assert [state(engine, name) for name in "ab"] == [State.CANCELLED, State.READY]


def test_the_callers_settings_stay(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("set local lock_timeout = '7s'")
    submit(engine, connection, "a", unique_key="k")
    with pytest.raises(DuplicateJob):
        submit(engine, connection, "b", unique_key="k")
    row = connection.execute("select current_setting('lock_timeout')").fetchone()
    assert row == ("7s",)


@pytest.mark.parametrize("own", ["100ms", "0", "1d"])
def test_a_rival_is_awaited_no_longer_than_the_caller_or_the_deadline_say(
    own: str, postgresql: Place, connection: psycopg.Connection[Any]
) -> None:
    engine = PostgreSQLEngine(postgresql.url, deadline=5, allow_unsafe_server=True)
    engine.open().wait(WAIT)
    engine._home.deadline = 0.2
    connection.execute(f"set local lock_timeout = '{own}'".encode())
    with psycopg.connect(postgresql.server) as rival:
        submit(engine, rival, "a", unique_key="k")
        with pytest.raises(EngineBusy, match="rival held"):
            submit(engine, connection, "b", unique_key="k")
        rival.rollback()
    submit(engine, connection, "b", unique_key="k")
    connection.commit()
    assert state(engine, "b") is State.READY
    engine.close().wait(WAIT)


def test_a_rivals_transaction_is_awaited(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any], postgresql: Place
) -> None:
    submit(engine, connection, "a", unique_key="k")
    reply = engine.apply(Send((message("b", unique_key="k"),)))
    somebody_waits(postgresql)
    assert not reply.done
    connection.commit()
    with pytest.raises(DuplicateJob):
        reply.wait(WAIT)


def test_what_the_server_cannot_keep_is_refused_without_harm(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    with pytest.raises(InvalidOption):
        submit(engine, connection, "a", unique_key="\0")
    submit(engine, connection, "b")
    connection.commit()
    assert state(engine, "b") is State.READY


def test_a_connection_in_autocommit_is_refused(engine: PostgreSQLEngine, postgresql: Place) -> None:
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        with pytest.raises(UsageError, match="psycopg Connection: no transaction is open"):
            submit(engine, connection, "a")
        with connection.transaction():
            submit(engine, connection, "a")
    assert state(engine, "a") is State.READY


def test_a_transaction_that_only_reads_is_refused(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    connection.read_only = True
    with pytest.raises(UsageError, match="only reads"):
        submit(engine, connection, "a")


def test_a_connection_that_is_lost_is_told(engine: PostgreSQLEngine, postgresql: Place) -> None:
    connection = psycopg.connect(postgresql.server)
    with psycopg.connect(postgresql.server, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(Exception, match="nothing was submitted"):
            submit(engine, connection, "a")
    connection.close()
    assert state(engine, "a") is None


def test_a_role_without_privileges_is_told(engine: PostgreSQLEngine, postgresql: Place) -> None:
    role = f"{postgresql.schema}_nobody"
    with psycopg.connect(postgresql.server) as connection:
        connection.execute(f"create role {role}".encode())
        connection.execute(f"set local role {role}".encode())
        with pytest.raises(Exception, match="grant it the privileges"):
            submit(engine, connection, "a")
        connection.rollback()


def test_a_server_that_was_started_anew_is_the_same(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    submit(engine, connection, "a")
    engine._home._place = Database(0, 0)
    submit(engine, connection, "b")
    connection.commit()
    assert state(engine, "b") is State.READY


def test_it_is_the_caller_who_ends_the_transaction(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    tx = engine.adopt(connection)
    assert engine.adopt(tx) is tx
    for call in (tx.commit, tx.rollback, lambda: tx.execute("select 1")):
        with pytest.raises(UsageError, match="psycopg Connection"):
            call()


def test_a_closed_engine_has_no_guests(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    engine.close().wait(WAIT)
    with pytest.raises(EngineClosed):
        engine.adopt(connection)


def test_a_thread_of_the_callers_own_is_the_only_one(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    asked = psycopg.Connection.wait

    def wait(self: Any, *given: Any, **named: Any) -> Any:
        if self is connection:
            threads.append(threading.current_thread())
        return asked(self, *given, **named)

    monkeypatch.setattr(psycopg.Connection, "wait", wait)
    submit(engine, connection, "a", unique_key="k")
    assert set(threads) == {threading.current_thread()}


def test_the_kinds_are_not_mixed_up(
    engine: PostgreSQLEngine, connection: psycopg.Connection[Any], postgresql: Place
) -> None:
    async def on_loop() -> None:
        with pytest.raises(BlockingCall, match=r"psycopg Connection would block.*asyncio"):
            await engine.apply(Send((message("a"),)), engine.adopt(connection))
        async with await psycopg.AsyncConnection.connect(postgresql.server) as other:
            reply = engine.apply(Send((message("a"),)), engine.adopt(other))
            with pytest.raises(BlockingCall, match=r"psycopg AsyncConnection is awaited.*asubmit"):
                reply.wait(WAIT)

    asyncio.run(on_loop())
    assert state(engine, "a") is None


@pytest.mark.parametrize("connect", [psycopg.AsyncConnection.connect, asyncpg.connect])
def test_a_cancelled_submit_is_undone(
    engine: PostgreSQLEngine,
    connection: psycopg.Connection[Any],
    postgresql: Place,
    connect: Callable[[str], Awaitable[Any]],
) -> None:
    submit(engine, connection, "holder", unique_key="k")

    async def story() -> None:
        own = await connect(postgresql.server)
        try:
            await own.execute("begin")
            writes = [Send((message("plain"),)), Send((message("rival", unique_key="k"),))]

            async def rival() -> None:
                await engine.commit(writes, engine.adopt(own))

            waiting = asyncio.create_task(rival())
            await asyncio.to_thread(_somebody_waits, postgresql)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await engine.apply(Send((message("next"),)), engine.adopt(own))
            await own.execute("commit")
        finally:
            await own.close()

    asyncio.run(story())
    connection.rollback()
    assert [state(engine, name) for name in ("plain", "rival", "next")] == [None, None, State.READY]


def _somebody_waits(place: Place) -> None:
    with psycopg.connect(place.server, autocommit=True) as connection:
        pause = threading.Event()
        while not connection.execute(
            "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
            " and query like '%%unique_key%%' and pid <> pg_backend_pid()"
        ).fetchall():
            pause.wait(0.01)


def test_rows_come_as_the_caller_wants_them_afterwards(
    engine: PostgreSQLEngine, postgresql: Place
) -> None:
    with psycopg.connect(postgresql.server, row_factory=dict_row) as connection:
        submit(engine, connection, "a")
        assert connection.execute("select 1 as one").fetchall() == [{"one": 1}]


def test_a_submit_whose_last_step_fails_is_never_committed(
    engine: PostgreSQLEngine,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guest, "_RELEASE", ("release savepoint headrace; select 1 / 0", ()))
    with pytest.raises(HeadraceError, match="division by zero"):
        submit(engine, connection, "a")
    connection.commit()
    assert state(engine, "a") is None


def test_a_plan_is_told_of_errors() -> None:
    seen: list[str] = []

    def plan() -> Any:
        try:
            yield ("bad", ())
        except ValueError:
            seen.append("told")
            rows = yield ("good", ())
            return rows

    def ask(statement: Any) -> Any:
        if statement[0] == "bad":
            raise ValueError
        return [(1,)]

    async def awaited(statement: Any) -> Any:
        return ask(statement)

    assert guest._run(ask, plan()) == [(1,)]
    assert asyncio.run(guest._run_awaited(awaited, plan())) == [(1,)]
    assert seen == ["told", "told"]


def test_hints_follow_the_commit(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine, connection: psycopg.Connection[Any]
) -> None:
    send(engine, "z")
    heard = threading.Event()
    rival.watch("ready", heard.set)
    submit(engine, connection, "a")
    assert isinstance(engine.adopt(connection), Guest)
    connection.commit()
    assert heard.wait(WAIT)


def test_a_reply_that_failed_is_no_answer(engine: PostgreSQLEngine) -> None:
    engine.close().wait(WAIT)
    reply: Reply[Database] = engine._home.place(("q",))
    with pytest.raises(EngineClosed):
        reply.wait(WAIT)
