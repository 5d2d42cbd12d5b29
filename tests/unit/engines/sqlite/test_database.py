"""The database file: where it may be, who may read it, and how it is brought up to date."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine, database
from headrace.engines.sqlite.database import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    Database,
    Durability,
    check_file_system,
    check_version,
    file_system,
    read_number,
)
from headrace.errors import StorageUnfit
from headrace.record import State
from headrace.testing.steps import PATIENCE, send, state
from tests.unit.engines.sqlite.looking import look, number
from tests.unit.engines.sqlite.programs import run

# Which SQLite -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.51.3", "3.53.0", "3.54.1", "4.0.0", "3.50.7", "3.44.6"])
def test_a_version_without_the_bug_is_fit(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize(
    "version", ["3.7.0", "3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.0", "3.51.2"]
)
def test_a_version_with_the_bug_is_refused(version: str) -> None:
    with pytest.raises(StorageUnfit, match=f"SQLite {version} may lose commits.*pip install"):
        check_version(version)


def test_the_library_is_checked_before_anything_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    with pytest.raises(StorageUnfit, match=r"3\.40\.1"):
        SQLiteEngine(path)
    assert not path.exists()


# Which file system --------------------------------------------------------------------------------


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that stands for the system's table of mounts."""
    table = tmp_path / "mounts"
    table.write_text("/dev/sda1 / ext4 rw,relatime 0 0\n")
    monkeypatch.setattr(database, "_MOUNTS", table)
    return table


def mount(table: Path, point: Path, kind: str) -> None:
    escaped = str(point).replace(" ", "\\040").replace("\\", "\\134").replace("\\134040", "\\040")
    with table.open("a") as lines:
        lines.write(f"server:/export {escaped} {kind} rw,relatime 0 0\n")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_a_network_file_system_is_refused(mounts: Path, tmp_path: Path, kind: str) -> None:
    share = tmp_path / "my share"
    mount(mounts, share, kind)
    path = share / "below" / "jobs.db"
    with pytest.raises(StorageUnfit, match="on a network file system") as refusal:
        SQLiteEngine(path, ballast=0).open().wait(PATIENCE)
    assert str(path) in str(refusal.value)
    assert kind in str(refusal.value)
    assert not share.exists()
    check_file_system(tmp_path / "my shared files" / "jobs.db")


def test_a_network_file_system_may_be_allowed(mounts: Path, tmp_path: Path) -> None:
    mount(mounts, tmp_path, "nfs4")
    engine = SQLiteEngine(tmp_path / "jobs.db", ballast=0, allow_network_files=True)
    engine.open().wait(PATIENCE)
    assert engine.inspect().wait(PATIENCE).settings["file system"] == "nfs4"
    engine.close().wait(PATIENCE)


def test_the_innermost_and_latest_mount_counts(mounts: Path, tmp_path: Path) -> None:
    mount(mounts, tmp_path, "nfs")
    mount(mounts, tmp_path / "local", "xfs")
    mount(mounts, tmp_path / "twice", "nfs")
    mount(mounts, tmp_path / "twice", "btrfs")
    assert file_system(tmp_path / "local" / "jobs.db") == "xfs"
    assert file_system(tmp_path / "twice" / "jobs.db") == "btrfs"
    assert file_system(tmp_path / "localhost") == "nfs"
    assert file_system(Path("/elsewhere")) == "ext4"


def test_a_link_into_a_share_is_seen_through(mounts: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (tmp_path / "link").symlink_to(share)
    mount(mounts, share, "nfs")
    with pytest.raises(StorageUnfit):
        check_file_system(tmp_path / "link" / "jobs.db")


def test_where_there_is_no_table_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_MOUNTS", tmp_path / "none")
    assert file_system(tmp_path) == ""
    check_file_system(tmp_path / "jobs.db")


# Which names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a b.db", "žluťoučký kůň 🐎.db", "what?.db", "no#1.db", "100%.db", "%41.db", "a;b'c\"d.db",
        "file:jobs.db?mode=memory", ":memory:", "-jobs", "line\nbreak.db", "x" * 180,
    ],
)  # fmt: skip
def test_any_name_is_just_a_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    engine = SQLiteEngine(path, ballast=4096)
    engine.open().wait(PATIENCE)
    send(engine, "a")
    engine.close().wait(PATIENCE)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, f"{name}-ballast"])
    assert number(path, "select count(*) from headrace_job") == 1


def test_a_path_may_be_longer_than_a_socket_s(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "jobs.db"
    assert len(os.fsencode(path)) > 2 * 108
    engine = SQLiteEngine(path, ballast=0, poll=30.0)
    engine.open().wait(PATIENCE)
    parked = engine.lease(["default"], limit=1, seconds=9, holder="w", wait=30)
    send(engine, "a")
    assert len(parked.wait(PATIENCE)) == 1
    engine.close().wait(PATIENCE)


@pytest.mark.parametrize("name", ["x" * 260, "/".join(["d" * 200] * 4)])
def test_a_path_that_is_too_long_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageUnfit, match="cannot "):
        SQLiteEngine(tmp_path / name, ballast=0).open().wait(PATIENCE)


def test_a_link_leads_to_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "jobs.db")
    engine = SQLiteEngine(tmp_path / "link.db", ballast=0)
    engine.open().wait(PATIENCE)
    assert engine.path == tmp_path / "real" / "jobs.db"
    engine.depth().wait(PATIENCE)  # the log is made by the first look into the file
    assert (tmp_path / "real" / "jobs.db-wal").exists()
    engine.close().wait(PATIENCE)


# Who may ------------------------------------------------------------------------------------------


def test_all_files_are_for_their_user_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        engine = SQLiteEngine(path, ballast=4096)
        engine.open().wait(PATIENCE)
        stop = engine.watch("stored", lambda: None)
        send(engine, "a")
        files = {f.name: f.stat().st_mode & 0o777 for f in path.parent.rglob("*")}
        stop()
        engine.close().wait(PATIENCE)
    finally:
        os.umask(before)
    assert files.pop("jobs.db-hints") == 0o700
    assert {"jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-ballast"} < files.keys()
    assert set(files.values()) == {0o600}


def test_rights_that_somebody_gave_stay(path: Path) -> None:
    Database(path, "power").prepare("boot")
    path.chmod(0o660)
    connection = Database(path, "power").connect()
    connection.execute("select * from headrace_job").fetchall()
    assert Path(f"{path}-wal").stat().st_mode & 0o777 == 0o660
    connection.close()
    assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    ("mode", "folder_mode", "there"),
    [
        (0o000, 0o700, True),  # cannot be read
        (0o400, 0o700, True),  # cannot be written
        (0o600, 0o500, True),  # no log beside it
        (0o600, 0o500, False),  # no file at all
        (0o600, 0o000, False),  # cannot be looked for
    ],
)
def test_missing_rights_are_told_in_one_sentence(
    path: Path, mode: int, folder_mode: int, *, there: bool
) -> None:
    if there:
        Database(path, "power").prepare("boot")
        path.chmod(mode)
    path.parent.chmod(folder_mode)
    try:
        said = run(
            """
            try:
                opened(sys.argv[1])
            except StorageUnfit as error:
                print(error)
            """,
            path,
            rights=False,
        )
    finally:
        path.parent.chmod(0o700)
    assert said.startswith("cannot ")
    assert str(path) in said
    assert len(said.splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnfit, match="cannot "):
        SQLiteEngine(tmp_path / "file" / "jobs.db", ballast=0).open().wait(PATIENCE)


# Settings and schema ------------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "synchronous"), [("power", 2), ("crash", 1)])
def test_every_connection_has_the_settings_that_the_promises_need(
    path: Path, durability: Durability, synchronous: int
) -> None:
    files = Database(path, durability)
    files.prepare("boot")
    connection = files.connect()
    expected = {
        "synchronous": synchronous,
        "fullfsync": 1,
        "checkpoint_fullfsync": 1,
        "foreign_keys": 0,
        "mmap_size": 0,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "page_size": database.PAGE_SIZE,
        "application_id": APPLICATION_ID,
        "user_version": SCHEMA_VERSION,
    }
    found = {name: read_number(connection, f"pragma {name}") for name in expected}
    assert found == expected
    assert connection.execute("pragma journal_mode").fetchall() == [("wal",)]
    connection.close()


@pytest.fixture
def migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of one more migration than there is."""
    file = tmp_path / "next.sql"
    monkeypatch.setattr(database, "_MIGRATIONS", [*database._MIGRATIONS, file])
    monkeypatch.setattr(database, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    return file


def test_a_migration_keeps_what_is_there_and_runs_once(
    engine: SQLiteEngine, path: Path, migration: Path
) -> None:
    send(engine, "a")
    engine.close().wait(PATIENCE)
    migration.write_text("create table headrace_more (n); insert into headrace_more values (1);")
    for _ in range(2):
        engine.open().wait(PATIENCE)
        assert state(engine, "a") is State.READY
        engine.close().wait(PATIENCE)
    assert look(path, "select * from headrace_more") == [(1,)]
    assert number(path, "pragma user_version") == SCHEMA_VERSION + 1


def test_a_new_file_has_all_migrations(path: Path, migration: Path) -> None:
    migration.write_text("create table headrace_more (n);")
    Database(path, "power").prepare("boot")
    assert number(path, "pragma user_version") == SCHEMA_VERSION + 1
    assert look(path, "select * from headrace_more") == []


def test_a_migration_that_fails_changes_nothing(
    engine: SQLiteEngine, path: Path, migration: Path
) -> None:
    engine.close().wait(PATIENCE)
    migration.write_text("create table headrace_more (n); insert into nowhere values (1);")
    with pytest.raises(Exception, match="nowhere"):
        engine.open().wait(PATIENCE)
    assert number(path, "pragma user_version") == SCHEMA_VERSION
    assert look(path, "select name from sqlite_schema where name = 'headrace_more'") == []


def test_two_that_make_one_file_at_once_share_it(path: Path) -> None:
    engines = [SQLiteEngine(path, ballast=0) for _ in range(4)]
    replies = [engine.open() for engine in engines]
    for reply in replies:
        reply.wait(30)
    for index, engine in enumerate(engines):
        send(engine, f"j{index}")
    for engine in engines:
        assert state(engine, "j0") is State.READY
        engine.close().wait(PATIENCE)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert number(path, "select count(*) from headrace_job") == 4


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StorageUnfit, match="is a folder: name a file"):
        Database(tmp_path, "power").prepare("boot")
    assert list(tmp_path.iterdir()) == []
