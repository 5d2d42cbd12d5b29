"""The small disk is small, is seen by whom it should be, and goes away."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Process, Processes
from tests.faults.storage import SmallDisk

WRITER = """
import pathlib, sys
try:
    pathlib.Path(sys.argv[1]).write_bytes(bytes(int(sys.argv[2])))
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


@pytest.fixture
def disk(processes: Processes, tmp_path: Path) -> SmallDisk:
    (tmp_path / "disk").mkdir()
    return SmallDisk.mount(processes, tmp_path / "disk", mebibytes=1)


def write(processes: Processes, disk: SmallDisk, name: str, size: int) -> Process:
    path = str(disk.path / name)
    program = processes.start(*disk.command(sys.executable, "-c", WRITER, path, str(size)))
    assert program.wait() == 0
    return program


def test_a_program_and_the_test_see_the_same_file(processes: Processes, disk: SmallDisk) -> None:
    write(processes, disk, "file", 1000)
    assert (disk.view / "file").stat().st_size == 1000


def test_more_than_fits_is_refused(processes: Processes, disk: SmallDisk) -> None:
    assert "No space left" in write(processes, disk, "file", 2 << 20).output()


def test_filling_leaves_no_room_and_freeing_gives_it_back(
    processes: Processes, disk: SmallDisk
) -> None:
    disk.fill()
    assert "No space left" in write(processes, disk, "file", 1).output()
    disk.free()
    assert write(processes, disk, "file", 1000).output() == ""


def test_nobody_else_sees_it_and_it_goes_away(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        (tmp_path / "disk").mkdir()
        disk = SmallDisk.mount(processes, tmp_path / "disk", mebibytes=1)
        write(processes, disk, "file", 1)
        assert not os.path.ismount(disk.path)
        assert not list(disk.path.iterdir())
    assert not disk.view.exists()
