"""When commits are synced: by what SQLite is told, and what reaches the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine, wal, writer
from headrace.engines.sqlite.database import Database, read_number
from headrace.engines.sqlite.guard import guard, unguard
from headrace.testing.steps import PATIENCE, claim, message, send, settle
from headrace.write import Send
from tests.faults.disk import Disk
from tests.faults.recording import Synced

FULL, NORMAL = 2, 1


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    database = Database(path, "power")
    database.prepare("boot")
    connection = database.connect()
    yield connection
    connection.close()


def level(connection: apsw.Connection) -> int:
    return read_number(connection, "pragma synchronous")


def test_a_commit_is_synced_before_others_see_it_unless_it_may_come_later(
    connection: apsw.Connection, path: Path
) -> None:
    log = wal.Wal(connection, path, "", durable=True)
    assert level(connection) == FULL
    log.begin("after")
    assert level(connection) == NORMAL
    log.begin("never")
    assert level(connection) == NORMAL
    log.begin("before")
    assert level(connection) == FULL


def test_the_open_log_can_be_synced_and_stays_forbidden_to_others(
    connection: apsw.Connection, path: Path
) -> None:
    log = wal.Wal(connection, path, "", durable=True)
    guard(path)
    try:
        connection.execute("insert into headrace_queue (name) values ('a')").fetchall()
        log.sync()
        log.sync()
        with pytest.raises(Exception, match="open database"):
            Path(f"{path}-wal").read_bytes()
    finally:
        log.close()
        unguard(path)


def test_nothing_is_synced_when_only_crashes_are_to_be_survived(
    connection: apsw.Connection, path: Path
) -> None:
    log = wal.Wal(connection, path.with_name("no such file"), "", durable=False)
    connection.execute("pragma synchronous = normal").fetchall()
    log.begin("before")
    log.sync()
    log.close()
    assert level(connection) == NORMAL


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk() as disk:
        yield disk


@pytest.fixture
def engine(path: Path, disk: Disk) -> Iterator[SQLiteEngine]:
    made = SQLiteEngine(path, ballast=0)
    made.open().wait(PATIENCE)
    made.close().wait(PATIENCE)
    engine = SQLiteEngine(path, ballast=0, vfs=disk.name)
    engine.open().wait(PATIENCE)
    disk.settle()
    yield engine
    engine.close().wait(PATIENCE)


def syncs(disk: Disk) -> int:
    return sum(isinstance(event, Synced) for event in disk.recording.events)


def test_a_claim_costs_no_sync_and_what_was_promised_costs_one(
    engine: SQLiteEngine, disk: Disk
) -> None:
    send(engine, "a")  # syncs the header of a new log, too
    before = syncs(disk)
    send(engine, "b")
    assert syncs(disk) == before + 1
    first, second = claim(engine, limit=2)
    assert syncs(disk) == before + 1
    settle(engine, first)
    assert syncs(disk) == before + 2
    settle(engine, second)
    assert syncs(disk) == before + 3


def test_after_very_many_claims_one_is_synced(
    engine: SQLiteEngine, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_MOST_UNSYNCED", 3)
    engine.apply(Send(tuple(message(f"job {n}") for n in range(8)))).wait(PATIENCE)
    before = syncs(disk)
    for _ in range(8):
        claim(engine)
    assert syncs(disk) == before + 2
