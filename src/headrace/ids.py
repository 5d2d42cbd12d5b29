"""Job ids and randomness, from one seam that tests and simulations can seed."""

from __future__ import annotations

import os
from random import Random

from headrace.clock import Clock, SystemClock

_COUNTER_LIMIT = 1 << 12


class Ids:
    """Makes ids that sort by time and never repeat, and the few random numbers the core needs.

    Job ids are UUID version 7 (RFC 9562 §5.7): 48 bits of milliseconds, a 12-bit counter that
    keeps ids of one process and millisecond in order (§6.2, method 1), and 60 random bits.
    Safe to use from many threads (two of them may draw one counter, never one random part) and in
    a forked child, which draws new randomness.

    Args:
        clock: where the milliseconds come from.
        seed: makes the random part repeatable; None takes it from the operating system.
    """

    def __init__(self, clock: Clock | None = None, seed: int | None = None) -> None:
        self._clock = clock or SystemClock()
        self._random = Random(seed)  # noqa: S311 - ids need uniqueness, not secrecy
        self._seeded = seed is not None
        self._pid = os.getpid()
        self._milliseconds = 0
        self._counter = 0

    def job_id(self) -> str:
        """Return a new UUIDv7 in its canonical form of 36 characters."""
        return self.job_ids(1)[0]

    def job_ids(self, count: int) -> list[str]:
        """Return new UUIDv7s in ascending order; for many, cheaper than one by one."""
        ids: list[str] = []
        while len(ids) < count:
            ids += self._of_one_millisecond(count - len(ids))
        return ids

    def _of_one_millisecond(self, count: int) -> list[str]:
        # The clock may stand still or step back: an id never carries less than the one before.
        milliseconds = max(int(self._clock.now() * 1000), self._milliseconds)
        first = self._counter + 1 if milliseconds == self._milliseconds else 0
        if first == _COUNTER_LIMIT:
            milliseconds, first = milliseconds + 1, 0
        count = min(count, _COUNTER_LIMIT - first)
        self._milliseconds, self._counter = milliseconds, first + count - 1
        prefix = f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7"
        tails = self._own_random().randbytes(8 * count).hex()
        return [
            f"{prefix}{first + index:03x}-8{tails[at : at + 3]}-{tails[at + 3 : at + 15]}"
            for index, at in enumerate(range(0, 16 * count, 16))
        ]

    def nonce(self) -> str:
        """Return 16 random hexadecimal digits: names for claims and for worker incarnations."""
        return f"{self._own_random().getrandbits(64):016x}"

    def fraction(self) -> float:
        """Return a random number in [0, 1): for jitter."""
        return self._own_random().random()

    def _own_random(self) -> Random:
        """Draw anew after a fork: two processes must never make the same ids."""
        if self._pid != os.getpid() and not self._seeded:
            self._random = Random()  # noqa: S311 - as above
            self._pid = os.getpid()
        return self._random
