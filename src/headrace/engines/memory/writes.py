"""What each write does to the memory engine's jobs and entries, and what it is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from headrace.cargo import Cargo, Keepsake, pack
from headrace.clock import Clock
from headrace.engines.memory import job as life
from headrace.engines.memory.entries import Entries
from headrace.engines.memory.job import Job
from headrace.engines.memory.jobs import Jobs
from headrace.errors import DuplicateJob, InvalidOption, LeaseLost, QueueFull, Unsupported
from headrace.message import VERSION, Message
from headrace.record import Cause, State
from headrace.write import (
    CancelJobs,
    Changed,
    Delete,
    Depart,
    Departed,
    EditJobs,
    Extend,
    Extended,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    Put,
    Reclaim,
    Reclaimed,
    Restore,
    RetryJobs,
    Send,
    Sent,
    Settle,
    Settled,
    Settlement,
    Stored,
    Write,
)

T = TypeVar("T")

_RETRY_AFTER_MIN = 0.1
_RETRY_AFTER_MAX = 60.0
_RETRY_AFTER_UNKNOWN = 1.0


class Writer:
    """Carries out writes, one after another; whoever calls it undoes them all if one is refused."""

    def __init__(self, jobs: Jobs, entries: Entries, clock: Clock) -> None:
        self._jobs = jobs
        self._entries = entries
        self._clock = clock
        self._verbs: dict[type[Write[Any]], Callable[[Any], Any]] = {
            Send: self._send,
            Extend: self._extend,
            Settle: self._settle,
            Reclaim: self._reclaim,
            CancelJobs: self._cancel,
            RetryJobs: self._retry,
            PurgeJobs: self._purge,
            EditJobs: self._edit,
            PauseQueue: lambda write: self._jobs.pause(write.queue, paused=write.paused),
            LimitQueue: lambda write: self._jobs.limit(write.queue, write.limits),
            Put: self._put,
            Delete: self._delete,
            Depart: self._depart,
            Restore: self._restore,
        }

    def carry_out(self, write: Write[Any]) -> Any:
        """Do what a write says and return its answer.

        Raises:
            Refused: it must not happen; what it did so far is for the caller to undo.
            Unsupported: it is no write this engine knows.
        """
        verb = self._verbs.get(type(write))
        if verb is None:
            raise Unsupported(f"the memory engine does not know the write {type(write).__name__}")
        return verb(write)

    # Sending --------------------------------------------------------------------------------------

    def _send(self, write: Send) -> Sent:
        replaced: list[str] = []
        for message in write.messages:
            self._check(message)
            if (rival := self._rival(message)) is not None:
                self._end(life.cancelled(rival, Cause.REPLACED, "", self._clock.now()))
                replaced.append(rival.id)
            job = life.accepted(message, self._jobs.next_place(), self._clock.now())
            self._check_room(job)
            self._jobs.put(job)
        return Sent(tuple(replaced))

    def _check(self, message: Message) -> None:
        if message.v != VERSION:
            text = f"message {message.id}: version {message.v} is unknown here; upgrade Headrace"
            raise InvalidOption(text)
        if self._jobs.get(message.id) is not None:
            raise DuplicateJob(f"job {message.id} was accepted before", message.id)

    def _rival(self, message: Message) -> Job | None:
        """Return the waiting job that a message replaces."""
        if message.unique_key is None:
            return None
        rival = self._jobs.holding(message.unique_key)
        if rival is not None and not (message.on_conflict == "replace" and rival.waiting):
            raise _taken(message.unique_key, rival)
        return rival

    def _check_room(self, job: Job) -> None:
        name = job.message.queue
        line = self._jobs.line(name)
        excess = line.excess(job)
        if excess <= 0:
            return
        rate = line.drain.rate(self._clock.monotonic())
        wait = excess / rate if rate else _RETRY_AFTER_UNKNOWN
        wait = min(max(wait, _RETRY_AFTER_MIN), _RETRY_AFTER_MAX)
        text = (
            f"queue {name!r} is full: {line.depth} jobs, {line.bytes} bytes; try again in"
            f" {wait:.1f} s, add workers, or raise its limit"
        )
        raise QueueFull(text, name, wait)

    # Leases ---------------------------------------------------------------------------------------

    def _extend(self, write: Extend) -> Extended:
        now = self._clock.monotonic()
        lost: set[str] = set()
        cancelled: set[str] = set()
        for lease in write.leases:
            job = self._jobs.get(lease.job_id)
            if job is None or not job.holds(lease):
                lost.add(lease.job_id)
                continue
            seconds = job.message.lease or write.seconds
            self._jobs.put(replace(job, lease_until=now + seconds))
            if job.cancelling is not None:
                cancelled.add(job.id)
        return Extended(frozenset(lost), frozenset(cancelled))

    def _settle(self, write: Settle) -> Settled:
        lost: set[str] = set()
        for settlement in write.settlements:
            if settlement.to is State.RUNNING:
                raise InvalidOption("a run cannot be settled to `running`: extend its lease")
            job = self._jobs.get(settlement.lease.job_id)
            if job is not None and job.holds(settlement.lease):
                self._settle_one(job, settlement)
            else:
                lost.add(settlement.lease.job_id)
        if lost and write.strict:
            raise LeaseLost(f"the lease of {', '.join(sorted(lost))} is no longer this worker's")
        return Settled(frozenset(lost))

    def _settle_one(self, job: Job, settlement: Settlement) -> None:
        self._end(life.settled(job, settlement, self._clock.now()))

    def _reclaim(self, write: Reclaim) -> Reclaimed:
        returned: list[str] = []
        dead: list[str] = []
        for job in self._jobs.held_by(write.holder):
            now, counted = self._clock.now(), write.counted
            after = self._end(life.forsaken(job, write.failure, now, counted=counted))
            if after.state is State.READY:
                returned.append(job.id)
            elif after.state is State.DEAD:
                dead.append(job.id)
        return Reclaimed(tuple(returned), tuple(dead))

    # Changes --------------------------------------------------------------------------------------

    def _cancel(self, write: CancelJobs) -> Changed:
        def cancel(job: Job) -> Job | None:
            if job.waiting:
                return life.cancelled(job, Cause.CANCELLED, write.reason, self._clock.now())
            if job.state is State.RUNNING and job.cancelling is None:
                return replace(job, cancelling=write.reason)
            return job

        return self._change(write.ids, cancel)

    def _retry(self, write: RetryJobs) -> Changed:
        def retry(job: Job) -> Job | None:
            if job.state is State.SCHEDULED:
                return replace(job, state=State.READY, run_at=None)
            if job.state is not State.DEAD:
                return job
            key = job.message.unique_key
            if key is not None and (rival := self._jobs.holding(key)) is not None:
                raise _taken(key, rival)
            return life.redriven(job, self._clock.now())

        return self._change(write.ids, retry)

    def _purge(self, write: PurgeJobs) -> Changed:
        def purge(job: Job) -> Job | None:
            if job.waiting:
                return life.cancelled(job, Cause.PURGED, "", self._clock.now())
            return None if job.state.terminal else job

        return self._change(write.ids, purge)

    def _edit(self, write: EditJobs) -> Changed:
        def edit(job: Job) -> Job | None:
            if not job.waiting:
                return job
            job = replace(job, priority=job.priority if write.priority is None else write.priority)
            if write.run_at is not None:
                job = life.postponed(job, write.run_at, self._clock.now())
            return job

        return self._change(write.ids, edit)

    def _change(self, ids: tuple[str, ...], change: Callable[[Job], Job | None]) -> Changed:
        """Apply a change to each job; it returns the same job to leave it, None to delete it."""
        states: dict[str, State] = {}
        changed: set[str] = set()
        for job_id in dict.fromkeys(ids):
            if (job := self._jobs.get(job_id)) is None:
                continue
            after = change(job)
            if after is not job:
                changed.add(job_id)
            if after is None:
                self._jobs.drop(job.id)
                continue
            states[job_id] = after.state
            if after is not job:
                self._end(after)
        return Changed(states, frozenset(changed))

    def _end(self, job: Job) -> Job:
        """Put a job that may have come to its end."""
        self._jobs.put(job)
        if job.state.terminal:
            self._jobs.drained(job.message.queue, self._clock.monotonic())
        return job

    # The store ------------------------------------------------------------------------------------

    def _put(self, write: Put) -> Stored:
        return self._entries.put(write, self._clock.now())

    def _delete(self, write: Delete) -> Stored:
        return self._entries.delete(write, self._clock.now())

    # Moving ---------------------------------------------------------------------------------------

    def _depart(self, write: Depart) -> Departed:
        jobs = _within([life.departing(job) for job in self._jobs.movable()], write)
        entries: list[Keepsake] = []
        if not jobs and not any(self._jobs.line(queue).depth for queue in self._jobs.lines()):
            entries = _within(self._entries.movable(), write)
        for record in jobs:
            self._jobs.drop(record.id)
        for entry in entries:
            self._delete(Delete(entry.key))
        if jobs or entries:
            token = self._jobs.highest_token
            cargo = Cargo(token=token, jobs=tuple(jobs), entries=tuple(entries))
            self._put(Put(write.key, pack(cargo), expect=0))
        return Departed(len(jobs), len(entries))

    def _restore(self, write: Restore) -> None:
        cargo = write.cargo
        for record in cargo.jobs:
            self._check(record.message)
            if record.state is State.RUNNING:
                raise InvalidOption(f"job {record.id} runs: it cannot be restored before it ends")
            key = record.message.unique_key
            rival = None if key is None else self._jobs.holding(key)
            if key is not None and rival is not None and not record.state.terminal:
                raise _taken(key, rival)
            place = self._jobs.next_place()
            self._jobs.put(life.restored(record, place, cargo.token, self._clock.now()))
        for keepsake in cargo.entries:
            self._entries.restore(keepsake, self._clock.now())


def _within(things: Sequence[T], write: Depart) -> list[T]:
    """Return the first of some things, as many as a departure may take."""
    taken: list[T] = []
    weight = 0
    for thing in things[: write.limit]:
        weight += len(msgspec.json.encode(thing))
        if taken and weight > write.nbytes:
            break
        taken.append(thing)
    return taken


def _taken(unique_key: str, rival: Job) -> DuplicateJob:
    text = f"unique key {unique_key!r} is held by job {rival.id}, which is {rival.state}"
    return DuplicateJob(text, rival.id)
