"""The only source of time, so that tests and simulations can replace it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from headrace.errors import StorageUnfit

_LINUX_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# macOS names each boot; other BSDs at least say when it was. Never the difference of two clocks:
# one of them may stand still while the machine sleeps, and the other one is corrected.
_BSD_BOOT_NAMES = (b"kern.bootsessionuuid", b"kern.boottime")
_LONGEST_NAME = 64


def rfc3339(seconds: float) -> str:
    """Return a moment, in seconds since 1970 UTC, as RFC 3339 writes it, with milliseconds."""
    whole, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_second(whole)}.{microseconds // 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Write a second; many jobs are accepted in one."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[: -len("+00:00")]


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
        """Return what the kernel calls this boot.

        Raises:
            StorageUnfit: it does not say; leases of another boot could not be told from our own.
        """
        if _LINUX_BOOT_ID.exists():
            return _LINUX_BOOT_ID.read_text().strip()
        for name in _BSD_BOOT_NAMES:
            if answer := _ask_kernel(name):
                return f"{name.decode()}-{answer.hex()}"
        raise StorageUnfit(
            f"this system does not say which boot it runs: there is no {_LINUX_BOOT_ID} (is /proc"
            " mounted?), nor sysctl kern.boottime"
        )


def _ask_kernel(name: bytes) -> bytes:
    """Return what a BSD's kernel answers to `sysctlbyname`, as it is; nothing if it does not."""
    import ctypes  # noqa: PLC0415 - Linux does without

    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except AttributeError:
        return b""
    answer, size = ctypes.create_string_buffer(_LONGEST_NAME), ctypes.c_size_t(_LONGEST_NAME)
    refused = ask(name, answer, ctypes.byref(size), None, ctypes.c_size_t(0))
    return b"" if refused else answer.raw[: size.value]
