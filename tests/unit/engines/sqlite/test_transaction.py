"""Transactions that users' own writes, new jobs and a completion share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from headrace.engine import Tx
from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.database import Database
from headrace.errors import (
    DuplicateJob,
    LeaseLost,
    StorageFull,
    TransactionTimeout,
    UsageError,
)
from headrace.record import State
from headrace.testing.steps import (
    PATIENCE,
    apply,
    claim,
    claim_one,
    job_id,
    labels,
    maintain,
    message,
    send,
    settle,
    state,
)
from headrace.write import Extend, PurgeJobs, Put, Send, Settle, Settlement
from tests.unit.engines.sqlite.looking import complaints, look, number
from tests.unit.waiting import until


@pytest.fixture
def quick(path: Path) -> Iterator[SQLiteEngine]:
    """Give an engine whose transactions may hold the lock for a tenth of a second."""
    engine = SQLiteEngine(path, ballast=0, transaction_limit=0.1)
    engine.open().wait(PATIENCE)
    run(engine.begin(), "create table mine (n integer primary key, value)", end="commit")
    yield engine
    engine.close().wait(PATIENCE)


@pytest.fixture
def tx(engine: SQLiteEngine) -> Iterator[Tx]:
    """Give a transaction with a table of the user's own."""
    run(engine.begin(), "create table mine (n integer primary key, value)", end="commit")
    transaction = engine.begin()
    yield transaction
    transaction.rollback().wait(PATIENCE)


def run(tx: Tx, sql: str, *parameters: Any, end: str = "") -> list[tuple[Any, ...]]:
    rows = tx.execute(sql, parameters).wait(PATIENCE)
    if end:
        getattr(tx, end)().wait(PATIENCE)
    return rows


def done(lease: Any) -> Settle:
    return Settle((Settlement(lease=lease, to=State.SUCCEEDED),), strict=True)


# What it is for -----------------------------------------------------------------------------------


def test_user_writes_new_jobs_and_the_completion_are_one(
    engine: SQLiteEngine, tx: Tx, path: Path
) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    run(tx, "insert into mine values (1, 'x')")
    engine.apply(done(lease), tx).wait(PATIENCE)
    engine.commit([Send((message("b"),)), Put("k", b"")], tx).wait(PATIENCE)
    assert number(path, "select count(*) from mine") == 0
    assert state(engine, "b") is None
    tx.commit().wait(PATIENCE)
    assert look(path, "select * from mine") == [(1, "x")]
    assert state(engine, "a") is State.SUCCEEDED
    assert labels(claim(engine)) == ["b"]
    assert complaints(path) == []


def test_a_rollback_undoes_all_of_it(engine: SQLiteEngine, tx: Tx, path: Path) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    run(tx, "insert into mine values (1, 'x')")
    engine.commit([done(lease), Send((message("b"),))], tx).wait(PATIENCE)
    tx.rollback().wait(PATIENCE)
    tx.rollback().wait(PATIENCE)
    assert number(path, "select count(*) from mine") == 0
    assert state(engine, "b") is None
    assert settle(engine, lease).lost == frozenset()


def test_reads_before_the_first_write_take_no_lock(engine: SQLiteEngine, tx: Tx) -> None:
    send(engine, "a")
    assert run(tx, "select count(*) from headrace_job") == [(1,)]
    send(engine, "b")  # would wait if the transaction held the lock
    assert run(tx, "select count(*) from headrace_job") == [(2,)]
    run(tx, "insert into mine values (1, null)")
    assert run(tx, "select * from mine") == [(1, None)]


@pytest.mark.parametrize(
    "value",
    [None, b"", bytes(range(256)), 2**63 - 1, -(2**63), 1.5, "kůň 🐎", "", "a\0b", True],
)
def test_any_value_of_sqlite_is_kept(tx: Tx, value: object) -> None:
    run(tx, "insert into mine values (1, ?)", value)
    ((found,),) = run(tx, "select value from mine")
    assert found == value


def test_a_commit_wakes_those_who_wait_for_jobs(path: Path) -> None:
    engines = [SQLiteEngine(path, ballast=0, poll=30.0) for _ in range(2)]
    for engine in engines:
        engine.open().wait(PATIENCE)
    parked = [e.lease(["default"], limit=1, seconds=9, holder="w", wait=30) for e in engines]
    tx = engines[0].begin()
    engines[0].apply(Send((message("a"), message("b"))), tx).wait(PATIENCE)
    tx.commit().wait(PATIENCE)
    assert sorted(labels(lease for reply in parked for lease in reply.wait(PATIENCE))) == ["a", "b"]
    for engine in engines:
        engine.close().wait(PATIENCE)


def test_an_empty_transaction_can_be_committed(engine: SQLiteEngine) -> None:
    tx = engine.begin()
    tx.commit().wait(PATIENCE)
    with pytest.raises(UsageError, match="was committed"):
        tx.execute("select 1").wait(PATIENCE)


def test_many_at_once_lose_no_update(engine: SQLiteEngine, path: Path) -> None:
    run(engine.begin(), "create table mine as select 0 as n", end="commit")

    def add(name: str) -> None:
        tx = engine.begin()
        run(tx, "update mine set n = n + 1")
        engine.apply(Send((message(name),)), tx).wait(30)
        tx.commit().wait(30)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add, [f"j{i}" for i in range(40)]))
    assert number(path, "select n from mine") == 40
    assert len(claim(engine, 100)) == 40
    until(
        lambda: not [t for t in threading.enumerate() if t.name == "headrace-tx"],
        "the transactions' threads to end",
    )


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "begin", "commit", "rollback", "savepoint s", "release s", "end",
        "attach ':memory:' as other", "detach main",
        "pragma synchronous = off", "pragma user_version",
        "select * from pragma_table_info('mine')",
        "delete from headrace_job", "DELETE FROM Headrace_Job",
        "insert into headrace_queue values (1)",
        "update headrace_engine set token = 0", "replace into headrace_entry values (1, 2, 3, 4)",
        "drop table headrace_job", "drop index headrace_job_id", "create table headrace_mine (n)",
        "alter table headrace_job rename to gone", "alter table headrace_job add column more",
        "alter table headrace_job drop column size",
        "alter table headrace_job rename column size to bulk",
        "create index mine_too on headrace_job (task)",
        "create trigger t after insert on headrace_job begin select 1; end",
        "create view headrace_view as select 1",
        "with x as (select 1) delete from headrace_tag",
        "reindex headrace_job_id", "analyze headrace_job",
    ],
)  # fmt: skip
def test_what_is_not_the_users_is_refused(tx: Tx, path: Path, sql: str) -> None:
    run(tx, "insert into mine values (1, 'kept')")
    with pytest.raises(UsageError, match="may not touch"):
        run(tx, sql)
    tx.commit().wait(PATIENCE)
    assert look(path, "select * from mine") == [(1, "kept")]
    assert complaints(path) == []


@pytest.mark.parametrize("sql", ["vacuum", "vacuum into 'copy.db'"])
@pytest.mark.parametrize("late", [True, False])
def test_the_file_is_not_written_anew_within_a_transaction(
    tx: Tx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str, *, late: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if late:
        run(tx, "insert into mine values (1, 'kept')")
    with pytest.raises(apsw.SQLError, match="within a transaction"):
        run(tx, sql)
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; select 2",
        "select 1; /* and */ select 2",
        "insert into mine values (7, 7); delete from mine",
        "select 1; drop table headrace_job",
    ],
)
def test_several_statements_at_once_are_refused(tx: Tx, path: Path, sql: str) -> None:
    with pytest.raises(UsageError, match="one statement at a time"):
        run(tx, sql)
    tx.commit().wait(PATIENCE)
    assert number(path, "select count(*) from mine") == 0


@pytest.mark.parametrize("sql", ["select 1;", "select 1 ; -- and no more", "  select 1;\n  "])
def test_an_end_of_a_statement_is_no_second_one(tx: Tx, sql: str) -> None:
    assert run(tx, sql) == [(1,)]


def test_a_trigger_of_the_users_cannot_write_our_tables_either(tx: Tx) -> None:
    run(tx, "create trigger t after insert on mine begin delete from headrace_job; end")
    with pytest.raises(UsageError, match="may not touch"):
        run(tx, "insert into mine values (1, 1)")


def test_columns_may_be_called_like_our_tables(tx: Tx) -> None:
    run(tx, "create table jobs (headrace_id text, headrace_job text)")
    run(tx, "insert into jobs (headrace_id) values ('a')")
    run(tx, "update jobs set headrace_job = headrace_id")
    assert run(tx, "select headrace_job from jobs") == [("a",)]


# What goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "parameters", "error"),
    [
        ("insert into mine values (1, 'again')", (), apsw.ConstraintError),
        ("insert into nowhere values (1)", (), apsw.SQLError),
        ("selec 1", (), apsw.SQLError),
        ("select ?", (), apsw.BindingsError),
        ("select 1", (1,), apsw.BindingsError),
        ("insert into mine values (2, ?)", (object(),), TypeError),
        ("insert into mine values (2, ?)", (2**63,), OverflowError),
        ("insert into mine values (2, ?)", ("\ud800",), UnicodeEncodeError),
    ],
)
def test_an_error_in_a_statement_leaves_the_others(
    tx: Tx, path: Path, sql: str, parameters: tuple[Any, ...], error: type[Exception]
) -> None:
    run(tx, "insert into mine values (1, 'kept')")
    with pytest.raises(error):
        run(tx, sql, *parameters)
    run(tx, "insert into mine values (3, 'too')", end="commit")
    assert look(path, "select * from mine") == [(1, "kept"), (3, "too")]


@pytest.mark.parametrize("how", ["insert or rollback into mine values (1, 2)", "trigger"])
def test_what_sqlite_rolled_back_by_itself_is_over(tx: Tx, path: Path, how: str) -> None:
    if how == "trigger":
        run(tx, "create trigger t after delete on mine begin select raise(rollback, 'no'); end")
        how = "delete from mine"
    run(tx, "insert into mine values (1, 1)")
    with pytest.raises(apsw.ConstraintError):
        run(tx, how)
    with pytest.raises(apsw.ConstraintError):
        run(tx, "insert into mine values (5, 5)")
    with pytest.raises(apsw.ConstraintError):
        tx.commit().wait(PATIENCE)
    assert number(path, "select count(*) from mine") == 0


def test_a_deferred_constraint_that_is_not_met_refuses_the_commit(
    engine: SQLiteEngine, path: Path
) -> None:
    tx = engine.begin()
    run(tx, "create table child (n references parent (n) deferrable initially deferred)")
    run(tx, "create table parent (n integer primary key)", end="commit")
    tx = engine.begin()
    run(tx, "insert into child values (1)")
    engine.apply(Send((message("a"),)), tx).wait(PATIENCE)
    with pytest.raises(UsageError, match="everything was rolled back"):
        tx.commit().wait(PATIENCE)
    assert number(path, "select count(*) from child") == 0
    send(engine, "a")  # the engine goes on


def test_foreign_keys_of_the_users_hold_but_never_stop_housekeeping(
    engine: SQLiteEngine, path: Path
) -> None:
    tx = engine.begin()
    run(tx, "create table mine (job text references headrace_job (id))", end="commit")
    tx = engine.begin()
    with pytest.raises(apsw.ConstraintError):
        run(tx, "insert into mine values ('none')")
    tx.rollback().wait(PATIENCE)
    send(engine, "a")
    run(engine.begin(), "insert into mine values (?)", job_id("a"), end="commit")
    apply(engine, PurgeJobs((job_id("a"),)))
    apply(engine, PurgeJobs((job_id("a"),)))
    assert number(path, "select count(*) from headrace_job") == 0
    assert maintain(engine).pruned == 0


def test_a_refused_write_of_ours_ends_the_transaction(
    engine: SQLiteEngine, tx: Tx, path: Path
) -> None:
    send(engine, "a")
    run(tx, "insert into mine values (1, 1)")
    with pytest.raises(DuplicateJob):
        engine.apply(Send((message("b"), message("a"))), tx).wait(PATIENCE)
    for _ in range(2):
        with pytest.raises(DuplicateJob):
            tx.commit().wait(PATIENCE)
    assert state(engine, "b") is None
    assert number(path, "select count(*) from mine") == 0


def test_a_lost_lease_ends_the_transaction(engine: SQLiteEngine, tx: Tx, path: Path) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    settle(engine, lease)
    run(tx, "insert into mine values (1, 1)")
    with pytest.raises(LeaseLost):
        engine.apply(done(lease), tx).wait(PATIENCE)
    with pytest.raises(LeaseLost):
        tx.commit().wait(PATIENCE)
    assert number(path, "select count(*) from mine") == 0


def test_a_write_that_cannot_be_read_ends_the_transaction(engine: SQLiteEngine, tx: Tx) -> None:
    run(tx, "insert into mine values (1, 1)")
    with pytest.raises(Exception, match="malformed JSON"):
        engine.apply(Send((message("a", body=msgspec.Raw(b"{")),)), tx).wait(PATIENCE)
    with pytest.raises(Exception, match="malformed JSON"):
        tx.commit().wait(PATIENCE)


def test_a_full_disk_rolls_it_back(
    engine: SQLiteEngine, tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tx, "insert into mine values (1, 1)")

    def full(*_: object) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(tx, "_execute", full)
    with pytest.raises(StorageFull):
        run(tx, "insert into mine values (2, 2)")
    with pytest.raises(StorageFull):
        tx.commit().wait(PATIENCE)
    send(engine, "a")  # nobody holds the lock


# For how long -------------------------------------------------------------------------------------


def test_a_lock_held_for_too_long_is_let_go_though_the_caller_sleeps(quick: SQLiteEngine) -> None:
    tx = quick.begin()
    run(tx, "insert into mine values (1, 1)")
    send(quick, "a")  # waits until the transaction is rolled back
    with pytest.raises(
        TransactionTimeout, match=r"over 0\.1 s and was rolled back: .* give that one tx="
    ):
        tx.commit().wait(PATIENCE)
    with pytest.raises(TransactionTimeout):
        run(tx, "select 1")
    assert run(quick.begin(), "select count(*) from mine", end="rollback") == [(0,)]


def test_a_statement_that_runs_for_too_long_is_interrupted(quick: SQLiteEngine) -> None:
    endless = "with recursive n (i) as (select 1 union all select i + 1 from n)"
    for sql in ("select max(i) from n", "insert into mine select i, i from n"):
        tx = quick.begin()
        run(tx, "insert into mine values (-1, -1)")
        with pytest.raises(TransactionTimeout):
            run(tx, f"{endless} {sql}")
        send(quick, sql[:6])
    assert run(quick.begin(), "select count(*) from mine", end="rollback") == [(0,)]


def test_a_transaction_that_only_reads_may_take_its_time(quick: SQLiteEngine) -> None:
    tx = quick.begin()
    run(tx, "select 1")
    threading.Event().wait(0.3)
    run(tx, "insert into mine values (1, 1)", end="commit")


def test_one_process_asks_for_the_lock_once_at_a_time(
    engine: SQLiteEngine, tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many that poll for it would take the time of the one that has it."""
    begun: list[str] = []
    connect = Database.connect

    def traced(self: Database) -> apsw.Connection:
        connection = connect(self)

        def trace(_: object, sql: str, __: object) -> bool:
            begun.append(sql)
            return True

        connection.exec_trace = trace
        return connection

    tx.execute("insert into mine (n) values (1)").wait(PATIENCE)
    monkeypatch.setattr(Database, "connect", traced)
    other = engine.begin()
    reply = other.execute("insert into mine (n) values (2)")
    until(lambda: begun, "its connection")
    assert not threading.Event().wait(0.05)
    assert "begin immediate" not in begun
    tx.commit().wait(PATIENCE)
    reply.wait(PATIENCE)
    assert begun.count("begin immediate") == 1
    other.rollback().wait(PATIENCE)
    run(engine.begin(), "insert into mine (n) values (3)", end="commit")


def test_heartbeats_survive_the_longest_transaction(quick: SQLiteEngine) -> None:
    send(quick, "a")
    lease = claim_one(quick, seconds=0.5)
    tx = quick.begin()
    run(tx, "insert into mine values (1, 1)")
    beat = quick.apply(Extend((lease,), 30.0))
    assert beat.wait(PATIENCE).lost == frozenset()
    with pytest.raises(TransactionTimeout):
        tx.commit().wait(PATIENCE)
    assert maintain(quick).reclaimed == 0
    assert settle(quick, lease).lost == frozenset()


def test_what_is_handed_over_as_it_ends_is_answered(quick: SQLiteEngine) -> None:
    for _ in range(20):
        tx = quick.begin()
        run(tx, "insert into mine values (null, 1)")
        replies = [tx.execute("select 1") for _ in range(5)]
        ending = tx.rollback()
        replies += [tx.execute("select 1") for _ in range(5)]
        ending.wait(PATIENCE)
        for reply in replies:
            try:
                assert reply.wait(PATIENCE) == [(1,)]
            except UsageError:
                continue
