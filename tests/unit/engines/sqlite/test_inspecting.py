"""What `headrace doctor` prints, and backups."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.database import Durability
from headrace.errors import UsageError
from headrace.record import State
from headrace.testing.steps import PATIENCE, claim, labels, message, send, state
from headrace.write import Send
from tests.unit.engines.sqlite.looking import complaints, look, rows


@pytest.mark.parametrize(
    ("durability", "synchronous", "survives"),
    [("power", "FULL", "yes, if"), ("crash", "NORMAL", "no:")],
)
def test_durability_is_read_back_from_the_connection(
    path: Path, durability: Durability, synchronous: str, survives: str
) -> None:
    engine = SQLiteEngine(path, durability=durability, ballast=0)
    engine.open().wait(PATIENCE)
    seen = engine.inspect().wait(PATIENCE)
    engine.close().wait(PATIENCE)
    assert seen.settings["synchronous"] == synchronous
    assert seen.settings["durability"] == durability
    assert seen.settings["journal_mode"] == "wal"
    assert seen.guarantee["accepted job survives a power cut"].startswith(survives)
    assert seen.location == str(path)
    assert "SQLite 3." in seen.engine


def test_a_spent_reserve_is_a_warning(path: Path) -> None:
    engine = SQLiteEngine(path, ballast=4096)
    engine.open().wait(PATIENCE)
    seen = engine.inspect().wait(PATIENCE)
    assert seen.settings["ballast"] == "4096 of 4096 bytes"
    engine._ballast.spend()
    warnings = engine.inspect().wait(PATIENCE).warnings
    engine.close().wait(PATIENCE)
    assert any("reserve is spent" in warning for warning in warnings)


def test_a_backup_taken_while_jobs_come_in_is_a_database_of_its_own(
    engine: SQLiteEngine, path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copies of jobs.db"
    send(engine, "before", order_key="k", tags=("t",))
    stop = threading.Event()

    def go_on() -> None:
        number = 0
        while not stop.is_set():
            engine.apply(Send((message(f"n{number}"),))).wait(PATIENCE)
            number += 1

    writing = threading.Thread(target=go_on)
    writing.start()
    engine.backup(target).wait(30)
    stop.set()
    writing.join()
    assert complaints(target) == []
    assert target.stat().st_mode & 0o777 == 0o600
    copy = SQLiteEngine(target, clock=engine._clock, ballast=0)
    copy.open().wait(PATIENCE)
    assert state(copy, "before") is State.READY
    assert labels(claim(copy, 1)) == ["before"]
    send(copy, "after")
    copy.close().wait(PATIENCE)
    assert state(engine, "after") is None
    assert look(path, "pragma integrity_check") == [("ok",)]
    assert [file.name for file in tmp_path.iterdir() if ".new-" in file.name] == []


def test_a_backup_never_overwrites(engine: SQLiteEngine, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.write_text("precious")
    with pytest.raises(UsageError, match="never overwrites"):
        engine.backup(target).wait(PATIENCE)
    assert target.read_text() == "precious"


@pytest.mark.parametrize("problem", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_backup_needs_no_links_and_minds_no_leftovers(
    engine: SQLiteEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(os, "link", refuse)
    leftover = tmp_path / f"copy.new-{os.getpid()}"
    leftover.write_text("of a process that was killed, and had our number")
    send(engine, "a")
    engine.backup(tmp_path / "copy").wait(PATIENCE)
    assert rows(tmp_path / "copy", "headrace_job") == 1
    assert {file.name for file in tmp_path.glob("copy*")} == {"copy", leftover.name}


def test_a_backup_to_nowhere_says_so_and_leaves_nothing(
    engine: SQLiteEngine, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="cannot write the backup"):
        engine.backup(tmp_path / "no" / "folder").wait(PATIENCE)
    assert not (tmp_path / "no").exists()
