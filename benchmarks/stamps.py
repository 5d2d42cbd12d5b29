"""When each job ran, told by the jobs themselves: no queue takes part in the counting.

A job appends the moment as 8 bytes to one file, in one write that the kernel keeps whole. That
takes about a microsecond in any thread, process or fork. The first and last stamp give the
time of a drain; the count shows what was lost or run twice. Standard library only, as the
peers import this in environments of their own.
"""

from __future__ import annotations

import array
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "HEADRACE_BENCH_STAMPS"
SIZE = 8


@functools.cache
def _opened() -> int:
    return os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def stamp() -> None:
    """Say that a job runs now; the file is the one that the environment names."""
    os.write(_opened(), array.array("d", [time.monotonic()]).tobytes())


class Stamps:
    """The file, as the one who counts sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def environment(self) -> dict[str, str]:
        """What the processes that stamp need in their environment."""
        return {VARIABLE: str(self.path)}

    def count(self) -> int:
        """Return how many jobs have run."""
        return self.path.stat().st_size // SIZE

    def times(self) -> list[float]:
        """Return the monotonic seconds of every run, in order."""
        stamps = array.array("d")
        stamps.frombytes(self.path.read_bytes())
        return sorted(stamps)

    def wait(self, count: int, timeout: float, alive: Callable[[], bool] = lambda: True) -> bool:
        """Wait until `count` jobs ran; False after `timeout` seconds or when all workers died."""
        deadline = time.monotonic() + timeout
        while self.count() < count:
            if time.monotonic() > deadline or not alive():
                return False
            time.sleep(0.01)
        return True


@contextmanager
def recording() -> Iterator[Stamps]:
    """Give an empty stamp file in memory where the machine has that, and remove it after."""
    memory = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Stamps(Path(folder) / "stamps")
