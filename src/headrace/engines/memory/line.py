"""One queue's line: who is next, and how many there are."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter

from headrace.engines.memory.drain import Drain
from headrace.engines.memory.job import Job
from headrace.record import QueueLimits, QueueStatus, State


class Group:
    """The unfinished jobs of one order key, in the order of acceptance."""

    def __init__(self) -> None:
        self._places: list[int] = []
        self._jobs: dict[int, Job] = {}
        self._running = 0

    def add(self, job: Job) -> None:
        """Take in a job."""
        insort(self._places, job.place)
        self._jobs[job.place] = job
        self._running += job.state is State.RUNNING

    def remove(self, job: Job) -> None:
        """Let go of a job."""
        del self._places[bisect_left(self._places, job.place)]
        del self._jobs[job.place]
        self._running -= job.state is State.RUNNING

    @property
    def runs(self) -> bool:
        """Whether one of them runs."""
        return self._running > 0

    def head(self) -> Job | None:
        """Return the one job that may be claimed, if there is one now."""
        if self._running:
            return None
        for place in self._places:
            job = self._jobs[place]
            if job.state is State.READY:
                return job
            if job.message.order_on_wait == "hold":
                return None
        return None


class Line:
    """A queue: its unfinished jobs, counted, and those that may be claimed, in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: Counter[State] = Counter()
        self._groups: dict[str, Group] = {}
        self._jobs: dict[int, Job] = {}
        # (minus priority, place) and (moment, place). Entries are never searched for: one that no
        # longer fits its job is dropped when it is met.
        self._ready: list[tuple[int, int]] = []
        self._scheduled: list[tuple[float, int]] = []
        self.bytes = 0
        self.paused = False
        self.limits = QueueLimits()
        self.drain = Drain()

    @property
    def depth(self) -> int:
        """Unfinished jobs."""
        return len(self._jobs)

    def add(self, job: Job) -> bool:
        """Take in an unfinished job, and say whether a job can be claimed that could not before."""
        self._jobs[job.place] = job
        self._counts[job.state] += 1
        self.bytes += job.size
        key = job.message.order_key
        if job.state is State.SCHEDULED and job.run_at is not None:
            heapq.heappush(self._scheduled, (job.run_at, job.place))
        if key is None:
            return job.state is State.READY and self._offer(job)
        group = self._groups.setdefault(key, Group())
        group.add(job)
        return self._offer(group.head())

    def remove(self, job: Job) -> bool:
        """Let go of a job, and say the same."""
        del self._jobs[job.place]
        self._counts[job.state] -= 1
        self.bytes -= job.size
        key = job.message.order_key
        if key is None:
            return False
        group = self._groups[key]
        group.remove(job)
        return self._offer(group.head())

    def excess(self, job: Job) -> float:
        """Return how many jobs of average size would have to go before `job` fits; 0 if it does."""
        jobs = nbytes = 0.0
        if self.limits.max_depth is not None:
            jobs = self.depth + 1 - self.limits.max_depth
        if self.limits.max_bytes is not None:
            average = (self.bytes + job.size) / (self.depth + 1)
            nbytes = (self.bytes + job.size - self.limits.max_bytes) / average
        return max(jobs, nbytes, 0.0)

    def next(self) -> Job | None:
        """Return the job to be claimed next: highest priority first, then oldest."""
        if self.paused:
            return None
        while self._ready:
            rank, place = self._ready[0]
            job = self._jobs.get(place)
            if job is not None and self._claimable(job) and job.priority == -rank:
                return job
            heapq.heappop(self._ready)
        return None

    def reason(self, job: Job) -> str:
        """Return why a ready job is held back; empty if it is not."""
        if self.paused:
            return "queue-paused"
        return "" if self._claimable(job) else "order-key"

    def runs(self, order_key: str) -> bool:
        """Return whether a job of an order key runs."""
        return self._groups[order_key].runs

    def status(self, now: float, monotonic: float) -> QueueStatus:
        """Return how the queue is doing."""
        return QueueStatus(
            name=self._name,
            ready=self._counts[State.READY],
            scheduled=self._counts[State.SCHEDULED],
            running=self._counts[State.RUNNING],
            bytes=self.bytes,
            paused=self.paused,
            limits=self.limits,
            drain_rate=self.drain.rate(monotonic),
            due_in=self._due_in(now),
        )

    def _claimable(self, job: Job) -> bool:
        key = job.message.order_key
        if key is None:
            return job.state is State.READY
        return self._groups[key].head() is job

    def _offer(self, job: Job | None) -> bool:
        if job is None:
            return False
        heapq.heappush(self._ready, (-job.priority, job.place))
        return True

    def _due_in(self, now: float) -> float | None:
        while self._scheduled:
            run_at, place = self._scheduled[0]
            job = self._jobs.get(place)
            if job is not None and job.run_at == run_at:
                return max(run_at - now, 0.0)
            heapq.heappop(self._scheduled)
        return None
