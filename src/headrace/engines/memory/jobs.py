"""Every job, and the indexes that follow from what the jobs are."""

from __future__ import annotations

from functools import partial

from headrace.engines.memory.changes import Changes
from headrace.engines.memory.job import Job
from headrace.engines.memory.line import Line
from headrace.engines.memory.moments import Moments
from headrace.record import QueueLimits, State


class Jobs:
    """All jobs by id. Every change goes through `put` and `drop`, which keep the indexes.

    Attributes:
        moments: when jobs need to be looked at again.
        highest_token: the highest fencing token that was handed out.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._jobs: dict[str, Job] = {}
        self._unique: dict[str, str] = {}
        self._lines: dict[str, Line] = {}
        self._place = 0
        self.highest_token = 0
        self.moments = Moments(self.get)

    def get(self, job_id: str) -> Job | None:
        """Return a job by id."""
        return self._jobs.get(job_id)

    def newest_first(self) -> list[Job]:
        """Return all jobs, the last accepted one first."""
        return sorted(self._jobs.values(), key=lambda job: job.place, reverse=True)

    def holding(self, unique_key: str) -> Job | None:
        """Return the live job that holds a unique key."""
        holder = self._unique.get(unique_key)
        return None if holder is None else self._jobs[holder]

    def held_by(self, holder: str) -> list[Job]:
        """Return the jobs that a worker runs, oldest first."""
        held = (job for job in self._jobs.values() if job.state is State.RUNNING)
        return sorted((job for job in held if job.holder == holder), key=lambda job: job.place)

    def line(self, queue: str) -> Line:
        """Return a queue's line; a queue begins when it is first named in a write."""
        if queue not in self._lines:
            self._lines[queue] = Line(queue)
            self._changes.note(partial(self._lines.pop, queue))
        return self._lines[queue]

    def known_line(self, queue: str) -> Line | None:
        """Return a queue's line, if there is one."""
        return self._lines.get(queue)

    def lines(self) -> list[str]:
        """Return the names of all queues there were."""
        return sorted(self._lines)

    def movable(self) -> list[Job]:
        """Return what may leave now, oldest first: the unfinished jobs, or else finished ones."""
        oldest = [job for job in self.newest_first()[::-1] if self.line(job.message.queue).paused]
        live = [job for job in oldest if job.waiting and not self._overtaking(job)]
        return live or [job for job in oldest if job.state.terminal]

    def _overtaking(self, job: Job) -> bool:
        key = job.message.order_key
        return key is not None and self.line(job.message.queue).runs(key)

    def next_place(self) -> int:
        """Return the next number in the order of acceptance."""
        self._place += 1
        return self._place

    def put(self, job: Job) -> Job:
        """Let `job` stand for its id from now on."""
        self.highest_token = max(self.highest_token, job.token)
        self._replace(job.id, job)
        return job

    def drop(self, job_id: str) -> None:
        """Forget a job."""
        self._replace(job_id, None)

    def drained(self, queue: str, now: float) -> None:
        """Note that a job of a queue was finished; `now` is monotonic."""
        line = self.line(queue)
        self._changes.note(partial(setattr, line, "drain", line.drain), "finished")
        line.drain = line.drain.after(now)

    def pause(self, queue: str, *, paused: bool) -> None:
        """Let a queue give nothing, or give again."""
        line = self.line(queue)
        self._changes.note(partial(setattr, line, "paused", line.paused), "ready")
        line.paused = paused

    def limit(self, queue: str, limits: QueueLimits) -> None:
        """Set when a queue is full."""
        line = self.line(queue)
        self._changes.note(partial(setattr, line, "limits", line.limits))
        line.limits = limits

    def _replace(self, job_id: str, new: Job | None) -> None:
        old = self._jobs.get(job_id)
        if old is not None:
            self._unlink(old)
        if new is not None:
            self._link(new)
        # Noted last: the queue that a job brought with it has to go after the job.
        self._changes.note(partial(self._replace, job_id, old))

    def _unlink(self, job: Job) -> None:
        del self._jobs[job.id]
        if job.state.terminal:
            return
        if (key := job.message.unique_key) is not None:
            del self._unique[key]
        self._freed(self.line(job.message.queue).remove(job))

    def _link(self, job: Job) -> None:
        self._jobs[job.id] = job
        self.moments.note(job)
        if job.state.terminal:
            return
        if (key := job.message.unique_key) is not None:
            self._unique[key] = job.id
        self._freed(self.line(job.message.queue).add(job))

    def _freed(self, claimable: bool) -> None:  # noqa: FBT001 - it is an answer passed on
        if claimable:
            self._changes.note(_nothing, "ready")


def _nothing() -> None:
    """Undo what needs no undoing: a hint may come too often."""
