"""Heartbeat: renews every lease of this worker in one write, and learns which it has to give up.

It beats in a thread of its own, so that a blocked event loop does not stop it. A thread that never
lets go of the interpreter's lock does: the leases are then lost, and fenced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from headrace.errors import EngineBusy, StorageFull
from headrace.service import Service
from headrace.worker.leases import Leases
from headrace.worker.run import Run
from headrace.worker.site import Site
from headrace.write import Extend, Extended

_log = logging.getLogger("headrace")

_BEATS_PER_LEASE = 3
_MARGIN = 0.1
"""The share of a lease that we give up, so that our deadline comes before the engine's."""
_RETRY_SECONDS = 0.5


def seconds_of(run: Run, seconds: float) -> float:
    """Return how long a run's lease lasts: its message's own wish, or the worker's."""
    return run.lease.message.lease or seconds


def lease_until(sent: float, seconds: float) -> float:
    """Return our own deadline of a lease that was asked for at `sent` (monotonic)."""
    return sent + seconds * (1 - _MARGIN)


class Heartbeat:
    """Renews the leases that are held, every third of the shortest of them.

    Args:
        site: what it shares with the other parts of the worker.
        leases: what is held.
    """

    def __init__(self, site: Site, leases: Leases) -> None:
        self._site = site
        self._leases = leases
        self._seconds = site.terms.lease
        self._pause = self._seconds / _BEATS_PER_LEASE
        self._service = Service("headrace-heartbeat", self.beat, self._pause, site.ids.fraction)
        self._unwatch: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to beat; at once when somebody asks for a running job to be cancelled."""
        self._unwatch = self._site.engine.watch("cancel", self._service.wake)
        self._service.start()

    def stop(self) -> None:
        """Beat no more."""
        if self._unwatch is not None:
            self._unwatch()
        self._service.stop()

    def hold(self, runs: list[Run]) -> None:
        """Add runs to what is held, and beat faster if one of their leases asks for it."""
        self._leases.hold(runs)
        if self._pause_for(runs) < self._pause:
            self._service.wake()

    def beat(self) -> float:
        """Renew what is held; return the seconds until the next beat."""
        now = self._site.clock.monotonic()
        runs = [run for run in self._leases.held() if not run.stuck and run.stopped != "lost"]
        self._pause = self._pause_for(runs)
        if not runs:
            return self._pause
        write = Extend(tuple(run.lease for run in runs), self._seconds)
        try:
            extended = self._site.engine.apply(write).wait(self._pause)
        except (EngineBusy, StorageFull) as error:
            _log.warning("the leases could not be renewed, trying again: %s", error)
            return min(_RETRY_SECONDS, self._pause)
        except Exception as error:  # noqa: BLE001 - whatever it is, this worker ends
            return self._site.engine_failed(error)
        self._renew(runs, extended, now)
        return self._pause

    def _pause_for(self, runs: list[Run]) -> float:
        shortest = min((seconds_of(run, self._seconds) for run in runs), default=self._seconds)
        return min(shortest, self._seconds) / _BEATS_PER_LEASE

    def _renew(self, runs: list[Run], extended: Extended, sent: float) -> None:
        for run in runs:
            if run.job_id in extended.lost:
                self._lose(run)
                continue
            run.lease_until = lease_until(sent, seconds_of(run, self._seconds))
            if run.job_id in extended.cancelled:
                run.stop("cancelled")

    def _lose(self, run: Run) -> None:
        if run.ended:
            return  # its outcome has just been written, which ended the lease
        _log.warning("lost the lease of job %s; what its run comes to is discarded", run.job_id)
        self._site.telemetry.event("lease.lost", job_id=run.job_id)
        run.stop("lost")
        self._leases.drop([run])
