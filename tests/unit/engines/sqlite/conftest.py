"""An engine on a file of its own, and a bare connection to such a file, for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.database import Database
from headrace.ids import Ids
from headrace.testing import ManualClock
from headrace.testing.steps import PATIENCE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def engine(path: Path, clock: ManualClock) -> Iterator[SQLiteEngine]:
    engine = SQLiteEngine(path, clock=clock, ids=Ids(clock, seed=1), ballast=0)
    engine.open().wait(PATIENCE)
    yield engine
    engine.close().wait(PATIENCE)


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    """Give a connection to a new database that no engine has open."""
    database = Database(path, "crash")
    database.prepare("boot-1")
    connection = database.connect()
    yield connection
    connection.close()
