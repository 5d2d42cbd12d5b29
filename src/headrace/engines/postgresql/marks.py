"""Where claims begin to look, so that what others keep from being cleaned up does not slow them.

A claimed job leaves a dead entry at the front of its queue's index. As long as somebody anywhere in
the database holds an old snapshot open, no vacuum removes it, and every claim has to step over all
of them. So a look remembers where the first job was, and the next one begins there. But jobs may
come to wait before that mark: retried ones, more urgent ones, those of a transaction that took
long. A full look finds them. It is rare only when it is dear: the more dead entries it met, the
rarer; with few of them, every look is a full one, and nothing is ever hidden.
"""

from __future__ import annotations

from collections.abc import Callable

BOTTOM = (-(2**31), 0)
"""Before all jobs of a queue."""

FEW = 5_000
"""Dead entries over which a look steps within about a millisecond."""
SECONDS_PER_ENTRY = 10e-6
"""Time between full looks, for every dead entry that one meets: some twenty times what it takes."""
LONGEST = 10.0
"""No job is hidden for longer, in seconds."""

_Position = tuple[int, int]


class Marks:
    """What one process knows of the fronts of its queues.

    Args:
        time: tells seconds that only grow.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._marks: dict[str, _Position] = {}
        self._next_full_look = 0.0
        self._full = True

    def of(self, queue: str) -> _Position:
        """Return where a look at a queue begins."""
        return BOTTOM if self._full else self._marks.get(queue, BOTTOM)

    def begin(self) -> None:
        """Decide, before a look, whether it is a full one."""
        self._full = self._time() >= self._next_full_look

    def see(self, queue: str, first: _Position) -> None:
        """Note where a look found the first job of a queue; BOTTOM: none, so nothing is known."""
        if first != BOTTOM:
            self._marks[queue] = first

    def pass_by(self, queue: str, position: _Position) -> None:
        """Note that a job was taken; all before it were, too, or a rival is about to."""
        self._marks[queue] = max(position, self._marks.get(queue, BOTTOM))

    def end(self, entries: int) -> None:
        """Note how many entries of the index a look met."""
        if self._full and entries > FEW:
            pause = min(LONGEST, entries * SECONDS_PER_ENTRY)
            self._next_full_look = self._time() + pause
