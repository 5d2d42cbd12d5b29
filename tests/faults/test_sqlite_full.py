"""A full disk under the SQLite engine: nothing new is accepted, what was begun is ended."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import SystemClock
from headrace.engines.sqlite import SQLiteEngine
from headrace.testing import ManualClock
from tests.faults.audit import audit
from tests.faults.history import read
from tests.faults.processes import Processes
from tests.faults.promises import judge
from tests.faults.storage import SmallDisk
from tests.faults.workload import PATIENCE

MEBIBYTES = 24


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


@pytest.fixture
def disk(processes: Processes, tmp_path: Path) -> SmallDisk:
    (tmp_path / "disk").mkdir()
    return SmallDisk.mount(processes, tmp_path / "disk", MEBIBYTES)


def tell(processes: Processes, disk: SmallDisk, *story: str) -> dict[str, Any]:
    """Let a story happen on the disk; its history goes elsewhere, as the disk is full."""
    name, *plant = story
    places = (str(disk.path), str(disk.path.parent / "history"))
    teller = (sys.executable, "-m", "tests.faults.fullness", name, *places, *plant)
    process = processes.start(*disk.command(*teller))
    assert process.wait(PATIENCE) == 0, process.output()
    seen: dict[str, Any] = json.loads(process.output().splitlines()[-1])
    return seen


def copied(disk: SmallDisk, tmp_path: Path) -> Path:
    """Return a copy of the database: SQLite does not open it through another's namespace."""
    shutil.copytree(disk.view, tmp_path / "copy", ignore=shutil.ignore_patterns("*-hints"))
    return tmp_path / "copy" / "jobs.db"


def broken_in(disk: SmallDisk, tmp_path: Path) -> list[str]:
    """Return what is wrong with the file that a story left."""
    path = copied(disk, tmp_path)
    clock = ManualClock(SystemClock().now())
    engine = SQLiteEngine(path, clock=clock, ballast=0)
    engine.open().wait(PATIENCE)
    violations = judge(engine, clock, read(tmp_path / "history"))
    engine.close().wait(PATIENCE)
    return [*violations, *audit(path)]


def test_work_is_ended_from_the_reserve_and_goes_on_when_there_is_space(
    processes: Processes, disk: SmallDisk, tmp_path: Path
) -> None:
    seen = tell(processes, disk, "reserve")
    assert set(seen.pop("settle from the reserve")) == {"done"}
    assert seen == {
        "send on a full disk": "StorageFull",
        "lost while it is full": 0,
        "extend from the reserve": "done",
        "reserve is touched": True,
        "maintain on a full disk": "done",
        "send while the reserve is touched": "StorageFull",
        "settle without a reserve": "StorageFull",
        "reserve that is spent": 0,
        "read without a reserve": 0,
        "settle with space again": "done",
        "send before the reserve is whole": "StorageFull",
        "maintain with space again": "done",
        "reserve is whole": True,
        "send with space again": "done",
        "settle the rest": "done",
        "lost": 0,
    }
    assert audit(copied(disk, tmp_path)) == []


def test_control_without_the_reserve_work_is_not_ended(
    processes: Processes, disk: SmallDisk
) -> None:
    seen = tell(processes, disk, "reserve", "spend_nothing")
    assert "StorageFull" in seen["settle from the reserve"]


def test_the_file_can_be_opened_and_work_ended_on_a_full_disk(
    processes: Processes, disk: SmallDisk
) -> None:
    seen = tell(processes, disk, "reopen")
    assert seen == {
        "open": "done",
        "claimed": 20,
        "settle": ["done"] * 20,
        "send": "StorageFull",
        "maintain": "done",
        "send with space again": "done",
        "lost": 0,
    }


def test_no_answer_is_contradicted_while_the_disk_fills_and_empties(
    processes: Processes, disk: SmallDisk, tmp_path: Path
) -> None:
    seen = tell(processes, disk, "squeeze")
    assert seen["errors"].keys() == {"StorageFull", "DuplicateJob"}
    assert broken_in(disk, tmp_path) == []


def test_control_a_full_disk_that_is_overlooked_is_found(
    processes: Processes, disk: SmallDisk, tmp_path: Path
) -> None:
    tell(processes, disk, "squeeze", "overlook_a_full_disk")
    assert any("are lost" in violation for violation in broken_in(disk, tmp_path))
