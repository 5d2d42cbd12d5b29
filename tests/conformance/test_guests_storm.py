"""A storm of transactions, with rivals, refusals and lost connections: jobs and rows agree.

Each transaction writes the ids of its jobs into a table of its own, so that the table is the
history of what was committed: kept by the server, and not by Headrace.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from headrace import App, DuplicateJob
from headrace.engines.postgresql import guest
from headrace.engines.postgresql.plan import Statement
from headrace.record import State
from headrace.write import Settle, Settlement
from tests.conformance.callers import CALLERS, Caller, call, program
from tests.postgresql import Place

KINDS = ("psycopg", "psycopg, async", "asyncpg", "SQLAlchemy's Session", "Django")
ROUNDS = 25


@pytest.fixture
def app(postgresql: Place) -> Iterator[App]:
    """Give the App of all callers."""
    with program(postgresql.url) as app:
        yield app


@pytest.fixture
def table(postgresql: Place) -> Iterator[str]:
    """Give the table that holds the history."""
    name = f"{postgresql.schema}_history"
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        connection.execute(sql.SQL("create table {} (id text)").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))


class _Program(threading.Thread):
    """Works with one connection until it has done its rounds, connecting anew when it is lost."""

    def __init__(self, kind: str, place: Place, app: App, table: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._kind = kind
        self._place = place
        self._app = app
        self._table = table
        self._random = random.Random(seed)

    def run(self) -> None:
        for _ in range(ROUNDS):
            caller = CALLERS[self._kind](self._place.server, self._app)
            try:
                self._transact(caller)
            except Exception:  # noqa: BLE001, S110 - whatever it was: the history tells what was
                pass
            finally:
                self._leave(caller)

    def _transact(self, caller: Caller) -> None:
        caller.begin()
        for _ in range(self._random.randint(1, 3)):
            self._submit(caller)
        if self._random.random() < 0.3:
            caller.execute("savepoint own")
            self._submit(caller)
            caller.execute("rollback to savepoint own")
        if self._random.random() < 0.1:
            caller.execute("select pg_terminate_backend(pg_backend_pid())")
        caller.commit() if self._random.random() < 0.7 else caller.rollback()

    def _submit(self, caller: Caller) -> None:
        key = f"key {self._random.randint(1, 5)}" if self._random.random() < 0.4 else None
        order = f"order {self._random.randint(1, 3)}" if self._random.random() < 0.4 else None
        options = {"unique_key": key, "order_key": order, "on_conflict": "reject"}
        if self._random.random() < 0.2:
            options["on_conflict"] = "replace"
        try:
            jobs = caller.submit([call(self._app, "plain"), call(self._app, "keyed", **options)])
        except DuplicateJob:
            return
        for job in jobs:
            caller.execute(f"insert into {self._table} values ('{job.id}')")  # noqa: S608 - ours

    def _leave(self, caller: Caller) -> None:
        try:
            caller.close()
        except Exception:  # noqa: BLE001 - the connection was lost
            if self._kind == "Django":
                caller.connection.connection = None


def storm(place: Place, app: App, table: str, seed: int) -> tuple[set[str], set[str]]:
    """Let all kinds of programs work at once; return the jobs that are there, and the history."""
    programs = [
        _Program(kind, place, app, table, seed + number) for number, kind in enumerate(KINDS * 2)
    ]
    for one in programs:
        one.start()
    for one in programs:
        one.join()
    with psycopg.connect(place.server) as connection:
        own = sql.SQL("select id::text from {}").format(sql.Identifier(place.schema, "job"))
        jobs = connection.execute(own).fetchall()
        history = sql.SQL("select id from {}").format(sql.Identifier(table))
        rows = connection.execute(history).fetchall()
    return {job_id for (job_id,) in jobs}, {job_id for (job_id,) in rows}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_jobs_and_rows_stay_together(seed: int, postgresql: Place, app: App, table: str) -> None:
    jobs, rows = storm(postgresql, app, table, seed)
    assert len(rows) > ROUNDS
    assert jobs == rows
    works_off(app)


def works_off(app: App) -> None:
    """See that every job has its turn, one of each order key at a time."""
    while leases := app.engine.lease(["default"], limit=500, seconds=60, holder="w").wait(10):
        keys = [lease.message.order_key for lease in leases if lease.message.order_key is not None]
        assert len(keys) == len(set(keys))
        done = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
        assert app.engine.apply(Settle(done)).wait(10).lost == frozenset()
    assert [queue.depth for queue in app.engine.depth().wait(10)] == [0]


@pytest.mark.slow
def test_a_guest_that_leaves_what_was_refused_is_found(
    postgresql: Place, app: App, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep() -> Iterator[Statement]:
        yield guest._RELEASE

    def refuse(*_: object) -> None:
        raise DuplicateJob("planted", "none")

    monkeypatch.setattr(guest, "_undo", keep)
    monkeypatch.setattr("headrace.engines.postgresql.sending._end_replaced", refuse)
    jobs, rows = storm(postgresql, app, table, seed=3)
    assert jobs > rows
