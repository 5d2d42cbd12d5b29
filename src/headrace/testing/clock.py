"""A clock that is moved by hand, so that a test waits for nothing."""

from __future__ import annotations

from headrace.errors import InvalidOption

_START = 1_767_225_600.0  # 2026-01-01 00:00 UTC: a whole second, so that sums stay readable


class ManualClock:
    """Time that passes only when it is told to.

    Args:
        now: wall-clock seconds since 1970-01-01 UTC to begin with.
    """

    def __init__(self, now: float = _START) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._boots = 1

    def now(self) -> float:
        """Return wall-clock seconds since 1970-01-01 UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that only `advance` moves."""
        return self._monotonic

    def boot(self) -> str:
        """Return the name of this boot."""
        return f"boot-{self._boots}"

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Args:
            seconds: how much, from 0 on.

        Raises:
            InvalidOption: it would go backwards; `step` does that to the wall clock alone.
        """
        if not seconds >= 0:
            raise InvalidOption(f"advance({seconds!r}): time only passes; to set it back, use step")
        self._now += seconds
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or, below 0, back, as an administrator or NTP would.

        Args:
            seconds: by how much; `monotonic` does not notice.
        """
        self._now += seconds

    def reboot(self) -> None:
        """Begin another boot: the monotonic clock starts over, the wall clock goes on."""
        self._boots += 1
        self._monotonic = 0.0
