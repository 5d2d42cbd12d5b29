"""What one process holds from `open()` to `close()`."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.session import Session
from headrace.errors import EngineClosed, OutcomeUnknown
from headrace.testing.steps import PATIENCE, claim, depth, labels, send
from headrace.write import Put
from tests.unit.engines.sqlite.looking import number
from tests.unit.engines.sqlite.programs import run


def session_of(engine: SQLiteEngine) -> Session:
    session = engine._session
    assert session is not None
    return session


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("headrace-")}


def test_nothing_is_left_after_a_close(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a")
    depth(engine)
    transaction = engine.begin()
    transaction.execute("create table mine (n)").wait(PATIENCE)
    engine.watch("finished", lambda: None)
    assert {"headrace-writer", "headrace-reader", "headrace-hints", "headrace-tx"} <= threads()
    engine.close().wait(PATIENCE)
    assert threads() <= {"headrace-open"}
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(EngineClosed, match="the transaction was rolled back"):
        transaction.commit().wait(PATIENCE)
    assert number(path, "select count(*) from sqlite_schema where name = 'mine'") == 0


def test_the_log_is_in_the_file_after_a_close_and_at_the_end_of_a_process(path: Path) -> None:
    run("engine = opened(sys.argv[1]); send(engine, 'a'); depth(engine)", path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert number(path, "select count(*) from headrace_job") == 1


def test_a_process_that_ends_at_once_has_written_what_it_handed_over(path: Path) -> None:
    run("engine = opened(sys.argv[1]); engine.apply(Send((message('a'),)))", path)
    assert number(path, "select count(*) from headrace_job") == 1


def test_after_an_unknown_outcome_nothing_goes_on_until_it_is_reopened(
    engine: SQLiteEngine,
) -> None:
    send(engine, "a")
    tx = engine.begin()
    session_of(engine)._stop_after(OutcomeUnknown("who knows", ["a"]))
    assert not session_of(engine).usable
    for call in (lambda: send(engine, "b"), lambda: claim(engine), lambda: depth(engine)):
        with pytest.raises(EngineClosed, match=r"open (the engine|it) again"):
            call()
    with pytest.raises(EngineClosed):
        engine.begin()
    engine.open().wait(PATIENCE)
    with pytest.raises(EngineClosed):
        engine.apply(Put("k", b""), tx).wait(PATIENCE)
    assert labels(claim(engine, 5)) == ["a"]


def test_transactions_are_forgotten_when_they_are_over(engine: SQLiteEngine) -> None:
    for _ in range(5):
        transaction = engine.begin()
        transaction.execute("select 1").wait(PATIENCE)
        transaction.rollback().wait(PATIENCE)
    del transaction
    gc.collect()
    # Their threads end on their own, after the answer.
    for thread in threading.enumerate():
        if thread.name == "headrace-tx":
            thread.join(PATIENCE)
    gc.collect()
    assert len(session_of(engine)._transactions) == 0
