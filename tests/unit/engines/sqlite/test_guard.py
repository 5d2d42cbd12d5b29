"""Nothing else in the process opens the database while the engine has it open."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite import guard as module
from headrace.engines.sqlite.guard import guard, unguard
from headrace.errors import UsageError
from headrace.testing.steps import PATIENCE, send
from tests.unit.waiting import until

NAMES = ["jobs.db", "a b.db", "žluť 🐎.db", "what?.db", "no#1.db", "100%.db", "%41.db", "file:x.db"]

HELD = 2
"""Locks of an idle connection: one on the file, one on the index of its log."""


def locks(path: Path) -> int:
    """Return how many locks this process has on the database and its index, as the system says."""
    files = {Path(f"{path}{suffix}").stat().st_ino for suffix in ("", "-wal", "-shm")}
    table = Path("/proc/locks")
    if not table.exists():
        pytest.skip("needs /proc/locks, to see what locks there are")
    rows = [line.split() for line in table.read_text().splitlines()]
    return sum(
        row[4] == str(os.getpid()) and int(row[5].rpartition(":")[2]) in files for row in rows
    )


@pytest.fixture(params=NAMES)
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Give a database that is open, with the names that are hard to get right."""
    path: Path = tmp_path / request.param
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    send(engine, "a")
    yield path
    engine.close().wait(PATIENCE)


def open_link(path: Path) -> None:
    link = path.with_name("other name")
    link.symlink_to(path)
    link.read_bytes()


def open_hard_link(path: Path) -> None:
    link = path.with_name("hard link")
    os.link(path, link)
    link.read_bytes()


def open_below_link(path: Path) -> None:
    folder = path.with_name("folder")
    folder.symlink_to(path.parent)
    (folder / path.name).read_bytes()


def open_relative(path: Path) -> None:
    with contextlib.chdir(path.parent):
        Path(f"../{path.parent.name}/./{path.name}").read_bytes()


def connect(path: Path) -> None:
    sqlite3.connect(path).close()


WAYS: dict[str, Callable[[Path], object]] = {
    "open": lambda path: open(path, "rb"),  # noqa: SIM115, PTH123 - it is not opened
    "os.open": lambda path: os.open(path, os.O_RDONLY),
    "bytes": lambda path: os.open(os.fsencode(path), os.O_RDONLY),
    "wal": lambda path: Path(f"{path}-wal").read_bytes(),
    "shm": lambda path: Path(f"{path}-shm").read_bytes(),
    "copy": lambda path: shutil.copy(path, path.with_name("copy")),
    "symbolic link": open_link,
    "hard link": open_hard_link,
    "folder link": open_below_link,
    "relative": open_relative,
    "sqlite3": connect,
    "sqlite3 str": lambda path: sqlite3.connect(str(path)),
    "sqlite3 uri": lambda path: sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True),
    "sqlite3 uri with host": lambda path: sqlite3.connect(
        f"file://localhost{quote(str(path))}", uri=True
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_to_an_open_database(guarded: Path, way: str) -> None:
    with pytest.raises(UsageError, match="would drop its locks"):
        WAYS[way](guarded)
    assert locks(guarded) >= HELD


def test_control_without_the_guard_the_locks_are_lost(guarded: Path) -> None:
    until(lambda: locks(guarded) == HELD, "the end of the transaction")
    unguard(guarded)
    Path(f"{guarded}-shm").read_bytes()
    assert locks(guarded) < HELD
    guard(guarded)


def test_another_apsw_connection_is_no_danger(guarded: Path) -> None:
    apsw.Connection(str(guarded)).close()
    assert locks(guarded) >= HELD


def test_other_files_are_opened_as_ever(engine: SQLiteEngine, path: Path, tmp_path: Path) -> None:
    send(engine, "a")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db.txt", "notes"):
        (other / name).write_text("x")
        assert (other / name).read_text() == "x"
    sqlite3.connect(other / "new.db").close()
    sqlite3.connect(":memory:").close()
    with contextlib.suppress(sqlite3.OperationalError):
        sqlite3.connect("file://[", uri=True)
    with pytest.raises(ValueError, match="null"):
        os.open(f"{path}\0", os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        (tmp_path / "missing").read_text()
    with os.fdopen(os.open(other / "notes", os.O_RDONLY)) as file:
        assert file.read() == "x"


def test_a_closed_database_is_a_file_like_others(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a")
    engine.close().wait(PATIENCE)
    assert path.read_bytes().startswith(b"SQLite format 3")
    connection = sqlite3.connect(path)
    assert connection.execute("select count(*) from headrace_job").fetchone() == (1,)
    connection.close()


def test_two_engines_on_one_file_guard_it_until_the_last_is_closed(path: Path) -> None:
    engines = [SQLiteEngine(path, ballast=0) for _ in range(2)]
    for engine in engines:
        engine.open().wait(PATIENCE)
    engines[0].close().wait(PATIENCE)
    with pytest.raises(UsageError):
        path.read_bytes()
    engines[1].close().wait(PATIENCE)
    path.read_bytes()


def test_a_file_that_was_moved_away_meanwhile_can_be_let_go(path: Path) -> None:
    path.write_text("x")
    guard(path)
    path.rename(path.with_name("moved"))
    path.write_text("new")
    unguard(path)
    assert path.with_name("moved").read_text() == "x"
    unguard(path)


def test_threads_may_open_and_close_databases_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = module._Guard()
    monkeypatch.setattr(kept, "_installed", True)
    failures: list[BaseException] = []

    def use(number: int) -> None:
        try:
            for turn in range(100):
                kept.add(tmp_path / f"{number}-{turn}.db")
            for turn in range(100):
                kept.remove(tmp_path / f"{number}-{turn}.db")
        except RuntimeError as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    users = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    sys.setswitchinterval(interval)
    assert failures == []
    assert not kept._guarded
