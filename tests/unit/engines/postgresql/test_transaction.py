"""A user's own writes, new jobs and a completion in one transaction."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.transaction import Transaction
from headrace.errors import (
    EngineBusy,
    EngineClosed,
    HeadraceError,
    OutcomeUnknown,
    TransactionTimeout,
    UsageError,
)
from headrace.record import State
from headrace.testing.steps import claim, claim_one, job_id, labels, message, send, state
from headrace.write import Send, Settle, Settlement
from tests.postgresql import Place

WAIT = 10


@pytest.fixture
def effects(postgresql: Place) -> Iterator[str]:
    """Give the statement after which `effects` is a table of the user's."""
    name = f"{postgresql.schema}.effects"
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        connection.execute(f"create table {name} (n int primary key)".encode())
        yield f"set local search_path = {postgresql.schema}"
        connection.execute(f"drop table {name}".encode())


def test_effect_job_and_completion_are_one(engine: PostgreSQLEngine, effects: str) -> None:
    send(engine, "a")
    done = Settlement(lease=claim_one(engine), to=State.SUCCEEDED)
    for end in ("rollback", "commit"):
        tx = engine.begin()
        tx.execute(effects).wait(WAIT)
        assert tx.execute("insert into effects values ($1)", (1,)).wait(WAIT) == []
        engine.commit([Send((message("b"),)), Settle((done,), strict=True)], tx).wait(WAIT)
        getattr(tx, end)().wait(WAIT)
        assert state(engine, "b") is (State.READY if end == "commit" else None)
    tx = engine.begin()
    tx.execute(effects).wait(WAIT)
    assert tx.execute("select n from effects").wait(WAIT) == [(1,)]
    tx.rollback().wait(WAIT)
    assert state(engine, "a") is State.SUCCEEDED


def test_after_a_statement_that_fails_the_others_stand(
    engine: PostgreSQLEngine, effects: str
) -> None:
    tx = engine.begin()
    tx.execute(effects).wait(WAIT)
    tx.execute("insert into effects values (1)").wait(WAIT)
    with pytest.raises(psycopg.errors.UniqueViolation):
        tx.execute("insert into effects values (1)").wait(WAIT)
    with pytest.raises(UsageError, match="one statement"):
        tx.execute("insert into effects values (2); insert into effects values (3)").wait(WAIT)
    for control in ("commit", " ROLLBACK;", "savepoint x", "end"):
        with pytest.raises(UsageError, match="end or divide"):
            tx.execute(control).wait(WAIT)
    assert tx.execute("select n from effects").wait(WAIT) == [(1,)]
    tx.commit().wait(WAIT)


def test_one_that_is_open_for_too_long_is_ended(postgresql: Place) -> None:
    engine = PostgreSQLEngine(postgresql.url, transaction_limit=0.2, allow_unsafe_server=True)
    engine.open().wait(WAIT)
    tx = engine.begin()
    engine.apply(Send((message("a", unique_key="k"),)), tx).wait(WAIT)
    send(engine, "b", unique_key="k")  # waits for it
    with pytest.raises(TransactionTimeout, match="transaction_limit"):
        tx.commit().wait(WAIT)
    assert state(engine, "a") is None
    engine.close().wait(WAIT)


def test_a_statement_that_takes_too_long_is_ended(postgresql: Place) -> None:
    engine = PostgreSQLEngine(postgresql.url, transaction_limit=0.2, allow_unsafe_server=True)
    engine.open().wait(WAIT)
    tx = engine.begin()
    with pytest.raises(HeadraceError):
        tx.execute("select pg_sleep(60)").wait(WAIT)
    engine.close().wait(WAIT)


def test_a_deferred_constraint_is_the_users_own(engine: PostgreSQLEngine, effects: str) -> None:
    tx = engine.begin()
    tx.execute(effects).wait(WAIT)
    tx.execute("create table late (n int references effects deferrable initially deferred)").wait(
        WAIT
    )
    tx.execute("insert into late values (7)").wait(WAIT)
    with pytest.raises(UsageError, match="deferred constraint"):
        tx.commit().wait(WAIT)


def test_closing_the_engine_ends_it(engine: PostgreSQLEngine) -> None:
    tx = engine.begin()
    engine.apply(Send((message("a"),)), tx).wait(WAIT)
    engine.close().wait(WAIT)
    with pytest.raises(EngineClosed):
        tx.commit().wait(WAIT)
    engine.open().wait(WAIT)
    assert state(engine, "a") is None


def test_a_new_queue_is_there_for_all_before_the_transaction_ends(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine
) -> None:
    tx = engine.begin()
    engine.apply(Send((message("a", queue="new"),)), tx).wait(10)
    rival.apply(Send((message("b", queue="new"),))).wait(10)
    assert [labels(claim(one, 5, queues=("new",))) for one in (rival, engine)] == [["b"], []]
    tx.commit().wait(10)
    assert labels(claim(rival, 5, queues=("new",))) == ["a"]


def test_a_queue_that_is_gone_ends_the_transaction_with_an_error(
    engine: PostgreSQLEngine, postgresql: Place
) -> None:
    engine.apply(Send((message("a"),)), tx := engine.begin()).wait(10)
    tx.rollback().wait(10)
    postgresql.empty()
    tx = engine.begin()
    with pytest.raises(EngineBusy, match="rolled back; try again"):
        engine.apply(Send((message("a"),)), tx).wait(10)
    tx = engine.begin()
    engine.apply(Send((message("a"),)), tx).wait(10)
    tx.commit().wait(10)
    assert labels(claim(engine, 5)) == ["a"]


@pytest.mark.parametrize("loss", ["before", "after"])
def test_a_commit_whose_connection_is_lost_is_found_out(
    engine: PostgreSQLEngine, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    tx = engine.begin()
    assert isinstance(tx, Transaction)
    engine.apply(Send((message("a"),)), tx).wait(WAIT)
    assert tx._link is not None
    lose(tx._link, monkeypatch, loss)
    if loss == "before":
        with pytest.raises(EngineBusy, match=r"before the commit .* nothing was written"):
            tx.commit().wait(WAIT)
    else:
        tx.commit().wait(WAIT)
    assert len(claim(engine)) == (loss == "after")


def test_a_commit_that_cannot_be_found_out_is_unknown(
    engine: PostgreSQLEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tx = engine.begin()
    assert isinstance(tx, Transaction)
    engine.apply(Send((message("a"),)), tx).wait(WAIT)
    assert tx._link is not None
    lose(tx._link, monkeypatch, "after")

    def refuse() -> Link:
        raise psycopg.OperationalError("connection refused")

    tx._connect, tx._patience = refuse, 0.1
    with pytest.raises(OutcomeUnknown) as unknown:
        tx.commit().wait(WAIT)
    assert list(unknown.value.job_ids) == [job_id("a")]


def lose(link: Link, patch: pytest.MonkeyPatch, when: str) -> None:
    """Lose a connection before its commit, or after it."""

    def say(text: str) -> list[tuple[object, ...]]:
        if text != "commit":
            return said(text)
        if when == "after":
            said("commit")
        link.raw.close()
        raise psycopg.OperationalError("the connection is lost")

    said = link.say
    patch.setattr(link, "say", say)
