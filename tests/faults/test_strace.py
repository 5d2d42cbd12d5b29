"""Faults at the n-th system call strike where they say they do."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import strace
from tests.faults.processes import Processes

PROGRAM = """
import os, sys
for number in range(5):
    for name in sys.argv[1:]:
        with open(name, "ab", buffering=0) as file:
            os.pwrite(file.fileno(), b"x", number)
            try:
                os.fsync(file.fileno())
            except OSError as error:
                print(error.strerror, number)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    strace.require()
    with Processes(tmp_path) as processes:
        yield processes


def test_kills_before_the_nth_call(processes: Processes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    fault = strace.Fault(strace.WRITES, 3, "signal=SIGKILL")
    program = processes.start(*fault.around(sys.executable, "-c", PROGRAM, str(file)))
    assert program.wait() == -signal.SIGKILL
    assert file.read_bytes() == b"xx"


def test_fails_the_nth_call_only(processes: Processes, tmp_path: Path) -> None:
    fault = strace.Fault(strace.SYNCS, 4, "error=EIO")
    argv = fault.around(sys.executable, "-c", PROGRAM, str(tmp_path / "file"))
    program = processes.start(*argv)
    assert program.wait() == 0
    assert program.output().split("\n") == ["Input/output error 3", ""]


def test_counts_calls_on_the_named_file_only(processes: Processes, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    fault = strace.Fault(strace.WRITES, 2, "signal=SIGKILL", path=two)
    program = processes.start(*fault.around(sys.executable, "-c", PROGRAM, str(one), str(two)))
    assert program.wait() == -signal.SIGKILL
    assert (one.read_bytes(), two.read_bytes()) == (b"xx", b"x")


def test_control_beyond_the_last_call_nothing_happens(processes: Processes, tmp_path: Path) -> None:
    fault = strace.Fault(strace.SYNCS, 6, "signal=SIGKILL")
    argv = fault.around(sys.executable, "-c", PROGRAM, str(tmp_path / "file"))
    assert processes.start(*argv).wait() == 0
