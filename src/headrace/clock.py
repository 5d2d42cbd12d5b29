"""The only source of time, so that tests and simulations can replace it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What tells the time. All values are seconds."""

    def now(self) -> float:
        """Wall-clock seconds since 1970-01-01 UTC; may step. For moments that people read."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, the same for every process of this boot. For leases."""
        ...

    def boot(self) -> str:
        """Names this boot of the machine: `monotonic` values of another one mean nothing."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Return wall-clock seconds since 1970-01-01 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment of this boot."""
        return time.monotonic()

    def boot(self) -> str:
        """Return the kernel's boot id, or the boot minute where the kernel gives none."""
        boot_id = Path("/proc/sys/kernel/random/boot_id")
        if sys.platform == "linux" and boot_id.exists():
            return boot_id.read_text().strip()
        # The difference drifts by the clock's corrections: whole minutes absorb those.
        return f"minute-{(time.time() - time.monotonic()) // 60:.0f}"
