"""Housekeeping: small steps, nothing left over, and a file that does not grow for ever."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headrace.engines.sqlite import SQLiteEngine, keeping
from headrace.message import Retention
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    apply,
    bury,
    claim,
    claim_one,
    fail,
    maintain,
    message,
    send,
    settle,
    state,
)
from headrace.write import Put, Send, Settle, Settlement
from tests.unit.engines.sqlite.looking import complaints, look, number, rows, tables_with_jobs


def test_each_step_is_small_and_says_whether_more_is_left(
    engine: SQLiteEngine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_PRUNE_LIMIT", 3)
    send(engine, *(f"j{i}" for i in range(7)), retention=Retention(succeeded=1.0, dead=1.0))
    for lease in claim(engine, 7):
        settle(engine, lease)
    clock.advance(2)
    steps = [engine.maintain().wait(PATIENCE) for _ in range(4)]
    assert [(step.pruned, step.more) for step in steps] == [
        (3, True),
        (3, True),
        (1, False),
        (0, False),
    ]


def test_forgotten_entries_are_work_that_is_left(
    engine: SQLiteEngine, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_FORGET_LIMIT", 2)
    for index in range(3):
        apply(engine, Put(f"k{index}", b"", expires_after=1.0))
    apply(engine, Put("keep", b""))
    clock.advance(2)
    assert engine.maintain().wait(PATIENCE).more
    assert not engine.maintain().wait(PATIENCE).more
    assert look(path, "select key from headrace_entry") == [("keep",)]


def test_pruned_jobs_leave_no_row_in_any_table(
    engine: SQLiteEngine, path: Path, clock: ManualClock
) -> None:
    short = Retention(succeeded=1.0, dead=2.0)
    send(engine, "ok", "dead", unique_key=None, order_key="k", tags=("t",), retention=short)
    fail(engine, claim_one(engine))
    settle(engine, claim_one(engine))
    bury(engine, claim_one(engine))
    clock.advance(1.5)
    assert maintain(engine).pruned == 1
    assert state(engine, "ok") is None
    assert state(engine, "dead") is State.DEAD
    clock.advance(1)
    assert maintain(engine).pruned == 1
    assert [table for table in tables_with_jobs(path) if rows(path, table)] == []
    assert complaints(path) == []


def test_housekeeping_that_finds_nothing_writes_nothing_and_wakes_nobody(
    engine: SQLiteEngine, path: Path
) -> None:
    send(engine, "a")
    engine.maintain().wait(PATIENCE)
    before = Path(f"{path}-wal").stat().st_size
    hinted: list[str] = []
    stops = [
        engine.watch("ready", lambda: hinted.append("ready")),
        engine.watch("finished", lambda: hinted.append("finished")),
    ]
    for _ in range(3):
        engine.maintain().wait(PATIENCE)
    assert hinted == []
    assert Path(f"{path}-wal").stat().st_size == before
    for stop in stops:
        stop()


def test_housekeeping_that_returns_a_job_says_so(engine: SQLiteEngine, clock: ManualClock) -> None:
    hinted: list[str] = []
    send(engine, "a")
    claim_one(engine)
    stop = engine.watch("ready", lambda: hinted.append("ready"))
    clock.advance(60)
    assert engine.maintain().wait(PATIENCE).reclaimed == 1
    assert hinted
    stop()


def test_the_file_stops_growing_when_as_much_is_pruned_as_is_sent(
    path: Path, clock: ManualClock
) -> None:
    engine = SQLiteEngine(path, clock=clock, ballast=0, durability="crash")
    engine.open().wait(PATIENCE)
    body = msgspec.Raw(b'{"text":"%s"}' % (b"x" * 500))
    sizes = []
    for cycle in range(20):
        names = (f"{cycle}.{i}" for i in range(300))
        short = Retention(succeeded=10.0)
        batch = tuple(message(name, body=body, tags=("t",), retention=short) for name in names)
        apply(engine, Send(batch))
        leases = claim(engine, 300)
        result = msgspec.Raw(b'"%s"' % (b"y" * 500))
        settled = (Settlement(lease=one, to=State.SUCCEEDED, result=result) for one in leases)
        apply(engine, Settle(tuple(settled)))
        clock.advance(6)
        maintain(engine)
        sizes.append(number(path, "pragma page_count"))
    engine.close().wait(PATIENCE)
    assert sizes[-1] <= sizes[5] * 1.1
    assert complaints(path) == []
