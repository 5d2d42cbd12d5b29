"""Reports: stores how far runs have come, the newest word of each, a few times a second."""

from __future__ import annotations

import logging

import msgspec

from headrace.errors import HeadraceError
from headrace.job import Progress, progress_key
from headrace.service import Service
from headrace.worker.site import Site
from headrace.write import Put

_log = logging.getLogger("headrace")

_STORE_SECONDS = 0.25
_IDLE_SECONDS = 3600.0
_KEPT_SECONDS = 86_400.0


class Reports:
    """Gathers what runs tell with `ctx.progress`, so that telling never waits for the database.

    Args:
        site: what it shares with the other parts of the worker.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._newest: dict[str, Progress] = {}
        self._service = Service("headrace-reports", self._store, _IDLE_SECONDS, site.ids.fraction)

    def start(self) -> None:
        """Begin to store."""
        self._service.start()

    def stop(self) -> None:
        """Store what is there, and no more."""
        self._service.stop()
        self._store()

    def take(self, job_id: str, progress: Progress) -> None:
        """Accept the newest word about a job; it replaces the one before."""
        first = not self._newest
        self._newest[job_id] = progress
        if first:
            self._service.wake()

    def _store(self) -> float | None:
        if not self._newest:
            return None
        newest, self._newest = self._newest, {}
        writes = [
            Put(progress_key(job_id), msgspec.json.encode(value), expires_after=_KEPT_SECONDS)
            for job_id, value in newest.items()
        ]
        try:
            self._site.engine.commit(writes).wait(self._site.terms.deadline)
        except HeadraceError as error:
            # The next word replaces this one anyway; whoever writes outcomes sees to the rest.
            _log.info("the progress of %d jobs was not stored: %s", len(newest), error)
        return _STORE_SECONDS
