"""Lifespan: how much a worker process does before a new one replaces it.

Whatever its tasks and their libraries leak is given back with the process.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_PEAK = re.compile(r"VmHWM:\s*(\d+) kB")
_MIB = 1 << 20
_FOR_EVER = sys.maxsize


class Lifespan:
    """Tells how many jobs a worker may still claim.

    Args:
        most_jobs: so many jobs are enough; None: never.
        most_mib: it has grown too large when it takes so much memory; None: never.
    """

    def __init__(self, most_jobs: int | None = None, most_mib: int | None = None) -> None:
        self._most_jobs = most_jobs
        self._most_mib = most_mib

    @property
    def too_large(self) -> str:
        """What to say to a worker that has not begun and has had enough; "" if it may begin."""
        if self._most_mib is None or (taken := peak_mib()) < self._most_mib:
            return ""
        return (
            f"--max-memory {self._most_mib} is no more than the {taken:.0f} MiB that the program"
            " takes at its start"
        )

    def left(self, claimed: int) -> int:
        """Return how many jobs may still be claimed.

        Args:
            claimed: how many there were until now.
        """
        if self._most_mib is not None and peak_mib() >= self._most_mib:
            return 0
        return _FOR_EVER if self._most_jobs is None else max(0, self._most_jobs - claimed)


def peak_mib() -> float:
    """Return the most memory this process has had so far, in MiB; 0 where nobody can tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    if found := _PEAK.search(status):
        return int(found[1]) / 1024
    try:
        import resource  # noqa: PLC0415 - Windows does not have it
    except ImportError:
        return 0.0
    # (Linux counts here what the parent took when it started this process. It is asked above.)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The kernels disagree about the unit: bytes on macOS, KiB elsewhere.
    return float(peak) / (_MIB if sys.platform == "darwin" else 1024)
