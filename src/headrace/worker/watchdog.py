"""Watchdog: asks runs that take too long to end, and tells when one does not."""

from __future__ import annotations

import logging
from collections.abc import Callable

from headrace.service import Service
from headrace.worker.run import Run
from headrace.worker.site import Site

_log = logging.getLogger("headrace")

_LOOK_SECONDS = 0.05
_IDLE_SECONDS = 3600.0


class Watchdog:
    """Watches the runs that have a timeout.

    Args:
        site: what it shares with the other parts of the worker.
        stuck: called with a run that still goes on when the grace has passed, too.
    """

    def __init__(self, site: Site, stuck: Callable[[Run], None]) -> None:
        self._clock = site.clock
        self._grace = site.terms.grace
        self._stuck = stuck
        self._watched: set[Run] = set()
        self._asleep = True
        self._service = Service("headrace-watchdog", self._look, _IDLE_SECONDS, site.ids.fraction)

    def start(self) -> None:
        """Begin to watch."""
        self._service.start()

    def stop(self) -> None:
        """Watch no more."""
        self._service.stop()

    def watch(self, run: Run, seconds: float) -> None:
        """Watch a run that begins now and may take so many seconds."""
        run.due = self._clock.monotonic() + seconds
        self._watched.add(run)
        if self._asleep:
            self._asleep = False
            self._service.wake()

    def forget(self, run: Run) -> None:
        """Watch a run no more: it has ended."""
        self._watched.discard(run)

    def _look(self) -> float | None:
        now = self._clock.monotonic()
        for run in tuple(self._watched):
            if run.due is not None and now >= run.due:
                self._remind(run, now - run.due)
        self._asleep = not self._watched
        if self._asleep and self._watched:  # watched since the line before: not asleep after all
            self._asleep = False
        return None if self._asleep else _LOOK_SECONDS

    def _remind(self, run: Run, late: float) -> None:
        if run.stopped == "":
            _log.warning("job %s took longer than its timeout and is asked to end", run.job_id)
            run.stop("timeout")
        if late > self._grace:
            self.forget(run)
            run.stuck = True
            self._stuck(run)
