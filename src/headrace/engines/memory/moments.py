"""The moments at which jobs need to be looked at again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from headrace.engines.memory.job import Job
from headrace.record import State


class Alarms:
    """Moments of one kind. They are never taken back: what rings may not matter any more."""

    def __init__(self) -> None:
        self._moments: list[tuple[float, int, str]] = []

    def set(self, moment: float, job: Job) -> None:
        """Let `rung` tell of `job` from `moment` on."""
        heapq.heappush(self._moments, (moment, job.place, job.id))

    def rung(self, now: float) -> Iterator[str]:
        """Yield the ids of jobs whose moment has come, earliest first."""
        while self._moments and self._moments[0][0] <= now:
            yield heapq.heappop(self._moments)[2]


class Moments:
    """When jobs become due, are too late, lose their lease and have been kept for long enough.

    Args:
        get: finds a job by id.
    """

    def __init__(self, get: Callable[[str], Job | None]) -> None:
        self._get = get
        self._due = Alarms()
        self._late = Alarms()
        self._lapsing = Alarms()
        self._outliving = Alarms()

    def note(self, job: Job) -> None:
        """Set what a job, as it is now, needs to be looked at for."""
        if job.kept_until is not None:
            self._outliving.set(job.kept_until, job)
        if job.state is State.RUNNING:
            self._lapsing.set(job.lease_until, job)
        if job.waiting and job.expires is not None:
            self._late.set(job.expires, job)
        if job.run_at is not None:
            self._due.set(job.run_at, job)

    def due(self, now: float) -> Iterator[Job]:
        """Yield the scheduled jobs whose moment has come."""
        for job in self._rung(self._due, now):
            if job.state is State.SCHEDULED and job.run_at is not None and job.run_at <= now:
                yield job

    def late(self, now: float) -> Iterator[Job]:
        """Yield the waiting jobs that have expired."""
        for job in self._rung(self._late, now):
            if job.waiting and job.expires is not None and job.expires <= now:
                yield job

    def lapsed(self, monotonic: float) -> Iterator[Job]:
        """Yield the running jobs whose lease has expired."""
        for job in self._rung(self._lapsing, monotonic):
            if job.state is State.RUNNING and job.lease_until <= monotonic:
                yield job

    def outlived(self, now: float) -> Iterator[Job]:
        """Yield the finished jobs past their retention time."""
        for job in self._rung(self._outliving, now):
            if job.kept_until is not None and job.kept_until <= now:
                yield job

    def _rung(self, alarms: Alarms, now: float) -> Iterator[Job]:
        for job_id in alarms.rung(now):
            if (job := self._get(job_id)) is not None:
                yield job
