"""Kill or fail a program at the n-th of its system calls, through `strace --inject`.

Exact and repeatable, and the program is the real one. strace counts each kind of call in each
thread apart: "the third fsync" is the third of one thread. A killed program dies before the call
is carried out.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SYNCS = ("fsync", "fdatasync")
WRITES = ("pwrite64", "ftruncate")


@dataclass(frozen=True)
class Fault:
    """What happens, and at which call.

    Attributes:
        calls: the names of the system calls.
        nth: at the n-th such call of a thread, from 1.
        effect: in strace's words: `signal=SIGKILL`, `error=EIO`, `delay_enter=200000` (µs).
        path: count only calls on this file; None counts all.
    """

    calls: tuple[str, ...]
    nth: int
    effect: str
    path: Path | None = None

    def around(self, *argv: str) -> tuple[str, ...]:
        """Return the command that runs `argv` with this fault."""
        calls = ",".join(self.calls)
        only = ("-P", str(self.path)) if self.path else ()
        return (
            *("strace", "-f", "-qq", "-o", os.devnull, *only),
            *("-e", f"trace={calls}", "-e", f"inject={calls}:{self.effect}:when={self.nth}"),
            *argv,
        )


def require() -> None:
    """Skip the test, with the reason, where strace cannot be used."""
    if not shutil.which("strace"):
        pytest.skip("optional: strace")
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], check=False)
    if tried.returncode:
        pytest.skip("optional: strace with the right to trace its own children")
