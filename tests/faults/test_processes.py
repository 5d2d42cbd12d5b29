"""Children are killed, frozen and cleaned up, and nobody else is."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import Process, Processes, until

SLEEP = "import time; print('ready'); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


def sleeper(processes: Processes, program: str = SLEEP) -> Process:
    process = processes.start(sys.executable, "-u", "-c", program)
    process.expect("ready")
    return process


def gone(process: psutil.Process) -> bool:
    """Whether it has ended; an orphan stays a zombie for as long as the system likes."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_the_exit_code_and_output_of_a_child_are_told(processes: Processes) -> None:
    child = processes.start(sys.executable, "-c", "print('hello'); raise SystemExit(3)")
    assert child.wait() == 3
    assert child.wait() == 3
    assert child.output() == "hello\n"


def test_a_kill_is_told_as_its_signal(processes: Processes) -> None:
    child = sleeper(processes)
    assert child.running
    processes.kill(child.pid)
    assert child.wait() == -signal.SIGKILL
    assert not child.running


def test_a_stopped_child_does_nothing_until_it_is_resumed(processes: Processes) -> None:
    child = sleeper(processes)
    processes.stop(child.pid)
    until(
        lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED,
        "the stop",
        show=child.output,
    )
    assert child.running
    processes.resume(child.pid)
    until(
        lambda: psutil.Process(child.pid).status() != psutil.STATUS_STOPPED,
        "the resumption",
        show=child.output,
    )


def test_a_grandchild_can_be_signalled_and_is_cleaned_up(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        first = sleeper(processes, PARENT)
        processes.kill(first.descendants()[0])
        assert first.wait() == 0
        second = sleeper(processes, PARENT)
        grandchild = psutil.Process(second.descendants()[0])
    until(lambda: gone(grandchild), "the grandchild's end", show=str)


@pytest.mark.parametrize("program", [SLEEP, DEAF])
def test_leaving_the_context_leaves_nobody(tmp_path: Path, program: str) -> None:
    with Processes(tmp_path) as processes:
        children = [sleeper(processes, program) for _ in range(2)]
        processes.stop(children[0].pid)
    assert not any(psutil.pid_exists(child.pid) for child in children)


def test_children_are_cleaned_up_when_the_test_fails(tmp_path: Path) -> None:
    pids = []

    def failing_test() -> None:
        with Processes(tmp_path) as processes:
            pids.append(sleeper(processes).pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_test()
    assert not psutil.pid_exists(pids[0])


def test_a_child_dies_with_a_parent_that_had_no_time_to_clean_up(processes: Processes) -> None:
    program = f"""
import pathlib, sys, time
from tests.faults.processes import Processes
with Processes(pathlib.Path(sys.argv[1])) as processes:
    print("child", processes.start(sys.executable, "-c", {SLEEP!r}).pid)
    time.sleep(600)
"""
    logs = str(processes._logs)
    parent = processes.start(sys.executable, "-c", program, logs + "/..")
    parent.expect("child")
    child = psutil.Process(int(parent.output().split()[1]))
    processes.kill(parent.pid)
    until(lambda: gone(child), "the child's end", show=parent.output)


@pytest.mark.parametrize(
    "pid", [1, os.getpid(), os.getppid()], ids=["the first process", "this one", "its parent"]
)
def test_nobody_else_gets_a_signal(processes: Processes, pid: int) -> None:
    sleeper(processes)
    with pytest.raises(ValueError, match="not started here"):
        processes.stop(pid)


def test_waiting_in_vain_fails_and_shows_the_output(processes: Processes) -> None:
    child = sleeper(processes)
    start = time.monotonic()
    with pytest.raises(AssertionError, match="in vain:\nready"):
        child.wait(timeout=0.05)
    with pytest.raises(AssertionError, match="'never'"):
        child.expect("never", timeout=0.05)
    assert time.monotonic() - start >= 0.1
