"""How long to wait between attempts while the server is away."""

from __future__ import annotations

import threading

from headrace.ids import Ids

_FIRST = 0.02
_LAST = 1.0

_never = threading.Event()


class Backoff:
    """Pauses that grow, each of them between a half and the whole, so that not all come at once.

    Args:
        ids: where the randomness comes from.
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._next = _FIRST

    def pause(self) -> None:
        """Wait; longer each time, up to a second."""
        _never.wait(self.take())

    def take(self) -> float:
        """Return the seconds of the next pause."""
        longest, self._next = self._next, min(_LAST, 2 * self._next)
        return longest * (1 + self._ids.fraction()) / 2
