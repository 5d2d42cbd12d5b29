"""How fast a queue drains, without keeping a moment per job."""

from __future__ import annotations

import math

import msgspec

_MEMORY = 30.0
"""Seconds after which what was seen counts for little."""


class Drain(msgspec.Struct, frozen=True):
    """Jobs finished lately, fading; all times are monotonic seconds.

    Attributes:
        since: when the first job finished.
        at: when the last one did.
        weight: the jobs seen, each faded by its age.
    """

    since: float = 0.0
    at: float = 0.0
    weight: float = 0.0

    def after(self, now: float) -> Drain:
        """Return this with one more job, finished now."""
        since = now if self.weight == 0.0 else self.since
        return Drain(since, now, self.weight * _fade(now - self.at) + 1)

    def rate(self, now: float) -> float:
        """Return the jobs finished per second lately."""
        # At the start less was seen than the memory could hold; a second avoids a burst's illusion.
        seen = max(now - self.since, 1.0)
        return self.weight * _fade(now - self.at) / (_MEMORY * (1 - _fade(seen)))


def _fade(seconds: float) -> float:
    return math.exp(-seconds / _MEMORY)
