"""The faulty disk does what a bad disk does, shown on a bare SQLite database."""

import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.faults.disk import Disk
from tests.faults.recording import DirectorySynced, EntriesChanged, Synced, Written


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk() as disk:
        yield disk


@pytest.fixture
def database(disk: Disk, tmp_path: Path) -> Iterator[apsw.Connection]:
    with_wal = apsw.Connection(str(tmp_path / "jobs.db"), vfs=disk.name)
    assert with_wal.execute("PRAGMA journal_mode = WAL").get == "wal"
    with_wal.execute("PRAGMA synchronous = FULL")
    with_wal.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY)")
    yield with_wal
    with_wal.close()


def insert(database: apsw.Connection) -> None:
    database.execute("INSERT INTO jobs DEFAULT VALUES")


def count(database: apsw.Connection) -> int:
    number = database.execute("SELECT count(*) FROM jobs").get
    assert isinstance(number, int)
    return number


def test_a_commit_is_recorded_as_writes_and_a_sync(disk: Disk, database: apsw.Connection) -> None:
    before = disk.recording.moment
    insert(database)
    *writes, last = disk.recording.events[before:]
    assert isinstance(last, Synced)
    assert {type(event) for event in writes} == {Written}


def test_the_first_sync_of_a_new_log_syncs_the_directory(
    disk: Disk, database: apsw.Connection
) -> None:
    names = [e for e in disk.recording.events if isinstance(e, EntriesChanged)]
    assert [Path(next(iter(e.entries))).name for e in names][-1] == "jobs.db-wal"
    after = disk.recording.events[disk.recording.events.index(names[-1]) :]
    assert DirectorySynced() in after
    assert count(database) == 0


def test_what_was_there_before_is_the_start_of_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with apsw.Connection(str(path)) as plain:
        plain.execute("CREATE TABLE old (x)")
    plain.close()
    with Disk() as disk:
        apsw.Connection(str(path), vfs=disk.name).execute("SELECT * FROM old").get  # noqa: B018 - `get` runs it
        assert disk.recording.contents[disk.recording.names[str(path)]] == path.read_bytes()


def test_the_nth_sync_fails_once_with_its_code(disk: Disk, database: apsw.Connection) -> None:
    disk.fail("sync", 2, suffix="-wal")
    insert(database)
    with pytest.raises(apsw.IOError) as caught:
        insert(database)
    assert vars(caught.value)["extendedresult"] == apsw.SQLITE_IOERR_FSYNC
    insert(database)
    assert count(database) == 2


def test_the_nth_write_fails_once_with_its_code(disk: Disk, database: apsw.Connection) -> None:
    disk.fail("write", suffix="-wal")
    with pytest.raises(apsw.IOError) as caught:
        insert(database)
    assert vars(caught.value)["extendedresult"] == apsw.SQLITE_IOERR_WRITE
    insert(database)
    assert count(database) == 1


def test_a_full_disk_refuses_writes_and_serves_reads(disk: Disk, database: apsw.Connection) -> None:
    insert(database)
    disk.room = 0
    with pytest.raises(apsw.FullError):
        insert(database)
    assert count(database) == 1
    disk.room = None
    insert(database)
    assert count(database) == 2


def test_a_slow_sync_is_slow(disk: Disk, database: apsw.Connection) -> None:
    disk.sync_seconds = 0.05
    start = time.monotonic()
    insert(database)
    assert time.monotonic() - start >= 0.05


def test_an_unregistered_disk_is_gone() -> None:
    with Disk() as disk:
        assert disk.name in apsw.vfs_names()
    assert disk.name not in apsw.vfs_names()
