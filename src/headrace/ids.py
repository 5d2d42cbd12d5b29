"""Job ids and randomness, from one seam that tests and simulations can seed."""

from __future__ import annotations

import os
from functools import cache
from random import Random

from headrace.clock import Clock, SystemClock

_VERSION, _VARIANT = 7, 2
_COUNTER_LIMIT = 1 << 12
_BATCH_LIMIT = 1 << 12
_DIGITS = 32


@cache
def _last_digits() -> list[str]:
    """Return what ids of a batch end with, in order."""
    return [f"{number:03x}" for number in range(_BATCH_LIMIT)]


def born(job_id: str) -> float | None:
    """Return when an id was made, seconds since 1970 UTC, to the millisecond; None if it is none.

    A UUIDv7 begins with its milliseconds (RFC 9562 §5.7).
    """
    digits = job_id.replace("-", "")
    if len(digits) != _DIGITS or digits[12] != "7":
        return None
    try:
        return int(digits[:12], 16) / 1000
    except ValueError:
        return None


class Ids:
    """Makes ids that sort by time and never repeat, and the few random numbers the core needs.

    Job ids are UUID version 7 (RFC 9562 §5.7): 48 bits of milliseconds, a 12-bit counter that
    keeps the batches of one process and millisecond in order (§6.2, method 1), 50 random bits for
    each batch, and 12 bits that count up within it (§6.2, method 2). They are names, not secrets:
    who knows one can guess its neighbours.
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
        ids = self._batch(min(count, _BATCH_LIMIT))
        while len(ids) < count:
            ids += self._batch(min(count - len(ids), _BATCH_LIMIT))
        return ids

    def _batch(self, count: int) -> list[str]:
        # The clock may stand still or step back: an id never carries less than the one before.
        milliseconds = max(int(self._clock.now() * 1000), self._milliseconds)
        counter = self._counter + 1 if milliseconds == self._milliseconds else 0
        if counter == _COUNTER_LIMIT:
            milliseconds, counter = milliseconds + 1, 0
        self._milliseconds, self._counter = milliseconds, counter
        drawn = self._own_random()
        timed = milliseconds << 16 | _VERSION << 12 | counter
        text = f"{timed << 52 | _VARIANT << 50 | drawn.getrandbits(50):029x}"
        prefix = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        first = int(drawn.random() * (_BATCH_LIMIT - count + 1))
        return [prefix + digits for digits in _last_digits()[first : first + count]]

    def nonce(self) -> str:
        """Return 16 random hexadecimal digits: names for claims and for worker incarnations."""
        return f"{self._own_random().getrandbits(64):016x}"

    def secret(self, size: int = 32) -> bytes:
        """Return random bytes that nobody can guess, whatever the seed."""
        return os.urandom(size)

    def trace_id(self) -> str:
        """Return 32 random hexadecimal digits, not all zero: the id of a trace (W3C)."""
        return f"{self._own_random().getrandbits(128) or 1:032x}"

    def span_id(self) -> str:
        """Return 16 random hexadecimal digits, not all zero: the id of a part of a trace (W3C)."""
        return f"{self._own_random().getrandbits(64) or 1:016x}"

    def fraction(self) -> float:
        """Return a random number in [0, 1): for jitter."""
        return self._own_random().random()

    def _own_random(self) -> Random:
        """Draw anew after a fork: two processes must never make the same ids."""
        if self._pid != os.getpid() and not self._seeded:
            self._random = Random()  # noqa: S311 - as above
            self._pid = os.getpid()
        return self._random
