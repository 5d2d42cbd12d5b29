"""Appetite: how many jobs to claim, so that slots stay busy and nothing is hoarded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from headrace.clock import Clock
from headrace.pool import Pool

_AHEAD_SECONDS = 0.2
"""What is run in this time is claimed ahead; a claim takes a few milliseconds."""
_MOST = 2_000


class _Plate:
    """One pool's share: what it had and what it got through lately."""

    def __init__(self, pool: Pool[Any]) -> None:
        self.pool = pool
        self.given = 0
        self.load = 0
        self.pace = 0.0  # runs per second
        self.watched = 0.0  # seconds for which it had something to do

    def weigh(self, seconds: float) -> None:
        """Learn the pace from what was given and what of it is left."""
        load = self.pool.waiting + self.pool.running
        had = self.load + self.given
        if seconds > 0 and had:
            self.watched += seconds
            done = max(0, had - load)
            # A short look counts for little: runs of the same length end in bursts.
            weight = seconds / (seconds + _AHEAD_SECONDS)
            self.pace += weight * (done / seconds - self.pace)
            if not load:  # but whatever was given has begun and ended since: so fast it is at least
                self.pace = max(self.pace, self.given / seconds)
        self.load, self.given = load, 0

    @property
    def room(self) -> int:
        """How many more runs are soon begun: free slots, and what the pace gets through ahead."""
        ahead = int(self.pace * _AHEAD_SECONDS)
        if not self._known and self.load >= self.pool.slots:
            ahead = max(ahead, self.pool.slots)  # it may turn out to be fast
        return max(0, min(_MOST, self.pool.slots + ahead) - self.load)

    @property
    def hoards(self) -> bool:
        """Whether far more waits in it than it gets through soon."""
        return self._known and self.pool.waiting > 2 * self.pace * _AHEAD_SECONDS

    @property
    def _known(self) -> bool:
        return self.watched >= _AHEAD_SECONDS


class Appetite:
    """Decides how many jobs to claim.

    Slow jobs leave no room beyond the free slots: other workers may have them. Of fast ones, as
    many are claimed ahead as are run while the next claim is under way. As long as the pace is not
    known, a second helping is claimed ahead; what was claimed in vain is handed back.

    A claim cannot choose the kind of its jobs. So what comes is expected to be like what came last:
    the pools that got something then decide. When they are full, others still get a chance, one job
    at a time.

    Args:
        pools: where jobs run; one that no task uses would seem to be hungry for ever.
        clock: measures the pace.
    """

    def __init__(self, pools: Collection[Pool[Any]], clock: Clock) -> None:
        self._plates = {pool: _Plate(pool) for pool in pools}
        self._likely = list(self._plates.values())
        self._clock = clock
        self._weighed = clock.monotonic()

    def limit(self) -> int:
        """Return how many jobs to claim now; 0: none."""
        now = self._clock.monotonic()
        for plate in self._plates.values():
            plate.weigh(now - self._weighed)
        self._weighed = now
        room = min((plate.room for plate in self._likely), default=0)
        if room or not self._hunger_elsewhere():
            return room
        return 1

    def hoarding(self) -> list[Pool[Any]]:
        """Return the pools whose waiting runs had better be handed back: they became slow."""
        if self._some_idle():
            return []  # what waits in a full pool is what stands before the jobs of another one
        return [plate.pool for plate in self._plates.values() if plate.hoards]

    def fed(self, shares: Mapping[Pool[Any], int]) -> None:
        """Learn how many jobs each pool got from a claim that was not empty."""
        # A job of a task that nobody knows, or knew at the start, may be for a pool not among ours.
        fed = {pool: count for pool, count in shares.items() if pool in self._plates}
        self._likely = [self._plates[pool] for pool in fed] or self._likely
        for pool, count in fed.items():
            self._plates[pool].given += count

    def _hunger_elsewhere(self) -> bool:
        """Whether a pool stands idle, and what full pools wait for is still bearable."""
        hoarded = any(plate.pool.waiting >= plate.pool.slots for plate in self._likely)
        return self._some_idle() and not hoarded

    def _some_idle(self) -> bool:
        return any(plate.load < plate.pool.slots for plate in self._plates.values())
