"""Child processes to be killed, frozen and reaped: only those started here, and all of them.

Each is the leader of a process group of its own, so that what it starts dies with it. Where the
system has `setpriv`, the kernel also kills a child whose parent died before it could clean up.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).parents[2]
"""The checkout: children run here, so that they can import `tests`."""


class Process:
    """A child that was started here."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self._popen = popen
        self._log = log
        self.pid = popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended; being stopped is not an end."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is None

    def output(self) -> str:
        """Return what it has written so far to its standard output and error."""
        return self._log.read_text(errors="replace")

    def descendants(self) -> list[int]:
        """Return the pids of what it has started, oldest first."""
        return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end.

        Args:
            timeout: seconds; more than the test should ever need.

        Returns:
            Its exit code, or the negative number of the signal that ended it.

        Raises:
            AssertionError: it did not end in time; shows its output.
        """
        until(lambda: not self.running, f"the end of {self}", timeout, show=self.output)
        # It stays a zombie until `close`, so that its pid and group cannot come to mean another.
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def expect(self, text: str, timeout: float = 30.0) -> None:
        """Wait until its output contains `text`; AssertionError if it does not come in time."""
        until(lambda: text in self.output(), f"{text!r} from {self}", timeout, show=self.output)

    def close(self) -> None:
        """Kill it with all its group, and reap it."""
        os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def __str__(self) -> str:
        return f"process {self.pid}"


class Processes:
    """The children of one test; leaving the context leaves none behind.

    Args:
        logs: the directory for their output.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        while self._started:
            self._started.pop().close()

    def start(self, *argv: str, environment: Mapping[str, str] | None = None) -> Process:
        """Start a program with these arguments, its environment added to ours."""
        log = self._logs / f"process-{len(self._started)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [*_die_with_parent(), *argv],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(Process(popen, log))
        return self._started[-1]

    def python(self, module: str, *arguments: str) -> Process:
        """Start a module of ours, such as `tests.faults.submitter`, with this interpreter."""
        return self.start(sys.executable, "-m", module, *arguments)

    def kill(self, pid: int) -> None:
        """Send SIGKILL."""
        self.signal(pid, signal.SIGKILL)

    def stop(self, pid: int) -> None:
        """Send SIGSTOP: the process freezes and cannot know it."""
        self.signal(pid, signal.SIGSTOP)

    def resume(self, pid: int) -> None:
        """Send SIGCONT."""
        self.signal(pid, signal.SIGCONT)

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to one process.

        Raises:
            ValueError: neither was it started here nor by one that was.
        """
        ours = {process.pid for process in self._started}
        ours.update(pid for process in self._started for pid in process.descendants())
        if pid not in ours:
            raise ValueError(f"process {pid} was not started here: it gets no signal")
        os.kill(pid, number)


def until(
    condition: Callable[[], object], what: str, timeout: float = 30.0, *, show: Callable[[], str]
) -> None:
    """Wait until a condition holds.

    Args:
        condition: asked every 10 ms.
        what: what is waited for, for the message.
        timeout: seconds.
        show: tells what is known when it did not come.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}, in vain:\n{show()}")
        time.sleep(0.01)


def _die_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
