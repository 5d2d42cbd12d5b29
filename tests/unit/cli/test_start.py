"""The program `headrace` heeds signals only when there is somebody to heed them."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from headrace.signals import held

PROGRAM = "from headrace.cli.start import main; main()"


def run(*args: str, number: signal.Signals | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program, which gets a signal before its first instruction."""
    with held():
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    if number is not None:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def test_it_is_the_command_line() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("headrace ")


def test_an_early_ctrl_c_is_one_line() -> None:
    done = run("--url", "sqlite:///nowhere.db", "jobs", "list", number=signal.SIGINT)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "headrace: interrupted"


def test_an_early_sigterm_is_heeded_as_well() -> None:
    done = run("--url", "sqlite:///nowhere.db", "jobs", "list", number=signal.SIGTERM)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_to_a_worker_it_is_an_order_to_end(number: signal.Signals) -> None:
    done = run("worker", "nosuch.py", number=number)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
