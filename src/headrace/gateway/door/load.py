"""Load: how much a gateway has to do at this moment, and how much it takes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings

_SOON = {"Retry-After": "1"}


class Load:
    """Counts requests: those that are being handled, and those that only wait for jobs.

    Args:
        settings: the limits.

    Attributes:
        handled: requests that are being handled.
        waiting: requests, streams and sockets that wait.
        draining: whether the server is about to stop, and takes on nothing more.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.handled = 0
        self.waiting = 0
        self.draining = False

    def check(self) -> None:
        """Refuse a request, which is counted already, where there is too much to do.

        Raises:
            Problem: it had better come later, or go elsewhere (503).
        """
        if self.draining:
            raise Problem("draining", "this process is about to stop; another will answer", _SOON)
        if self.handled > self._settings.max_requests:
            raise Problem("temporary-reduced-capacity", "there are too many requests", _SOON)

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Count a request as waiting, not as handled, in a `with` block.

        Raises:
            Problem: too many wait already (503).
        """
        if self.waiting >= self._settings.max_waiters:
            raise Problem("temporary-reduced-capacity", "too many wait for jobs: poll", _SOON)
        self.waiting += 1
        self.handled -= 1
        try:
            yield
        finally:
            self.waiting -= 1
            self.handled += 1
