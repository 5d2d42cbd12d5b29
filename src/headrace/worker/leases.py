"""Leases: which runs this worker holds, from their claim until their settlement is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet

from headrace.worker.run import Run


class Leases:
    """The runs whose leases this worker holds. Safe to use from many threads."""

    def __init__(self) -> None:
        self._held: set[Run] = set()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._held)

    def held(self) -> list[Run]:
        """Return the runs that are held now."""
        with self._changed:
            return list(self._held)

    def hold(self, runs: Collection[Run]) -> None:
        """Add runs that were claimed."""
        with self._changed:
            self._held.update(runs)

    def drop(self, runs: Collection[Run]) -> None:
        """Forget runs that are settled or lost."""
        with self._changed:
            self._held.difference_update(runs)
            self._changed.notify_all()

    def wait_until(
        self, condition: Callable[[AbstractSet[Run]], bool], timeout: float | None = None
    ) -> bool:
        """Wait until a condition holds of the runs that are held.

        Args:
            condition: looked at whenever runs were dropped.
            timeout: seconds to wait at most; None waits for ever.

        Returns:
            Whether it holds.
        """
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._held), timeout)
