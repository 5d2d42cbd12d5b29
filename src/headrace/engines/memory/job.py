"""A job as the memory engine keeps it: a value, and the steps of its life as pure functions."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from headrace.cargo import expiry, timeless
from headrace.message import Message, Retention
from headrace.record import (
    FIRST_ATTEMPTS_KEPT,
    LAST_ATTEMPTS_KEPT,
    Attempt,
    Cause,
    Failure,
    Record,
    State,
)
from headrace.write import LOST_LEASES_LIMIT, Lease, Settlement

_KEPT = Retention()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a job; the fields are those of `Record` and `Lease`, and these.

    Attributes:
        place: its number in the order of acceptance.
        size: bytes of its envelope.
        expires: when it is too late to start it, seconds since 1970 UTC.
        lease_until: monotonic seconds.
        cancelling: why cancelling was asked for during the run; None if it was not.
    """

    message: Message
    place: int
    size: int
    accepted_at: float
    state: State
    priority: int
    expires: float | None = None
    run_at: float | None = None
    attempt: int = 0
    lost: int = 0
    token: int = 0
    claim: str = ""
    holder: str = ""
    lease_until: float = 0.0
    cancelling: str | None = None
    finished_at: float | None = None
    kept_until: float | None = None
    result: msgspec.Raw | None = None
    failure: Failure | None = None
    history: tuple[Attempt, ...] = ()
    seconds: float | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return self.message.id

    @property
    def waiting(self) -> bool:
        """Whether it is neither running nor finished."""
        return self.state in {State.READY, State.SCHEDULED}

    def holds(self, lease: Lease) -> bool:
        """Return whether `lease` is the one it runs under."""
        running = self.state is State.RUNNING
        return running and (self.token, self.claim) == (lease.token, lease.claim)


def accepted(message: Message, place: int, now: float) -> Job:
    """Return the job that a message becomes when it is accepted."""
    run_at = message.run_at if message.delay is None else now + message.delay
    after = message.expires_after
    job = Job(
        message=message,
        place=place,
        size=len(msgspec.json.encode(message)),
        accepted_at=now,
        state=State.READY,
        priority=message.priority,
        expires=message.expires if after is None else now + after,
        attempt=message.attempt,
    )
    return job if run_at is None else postponed(job, run_at, now)


def postponed(job: Job, run_at: float, now: float) -> Job:
    """Return a waiting job with another moment; a past one makes it ready."""
    if run_at <= now:
        return replace(job, state=State.READY, run_at=None)
    return replace(job, state=State.SCHEDULED, run_at=run_at)


def claimed(job: Job, claim: str, holder: str, lease_until: float) -> Job:
    """Return the job as its new lease makes it."""
    return replace(
        job,
        state=State.RUNNING,
        token=job.token + 1,
        claim=claim,
        holder=holder,
        lease_until=lease_until,
    )


def leased(job: Job) -> Lease:
    """Return the lease a running job is under."""
    return Lease(
        message=job.message,
        token=job.token,
        claim=job.claim,
        attempt=job.attempt + 1,
        lost=job.lost,
        place=job.place,
    )


def settled(job: Job, settlement: Settlement, now: float) -> Job:
    """Return what a run that ended makes of its job."""
    failure = settlement.failure
    # A run that does not end its job cannot win against the wish to cancel it.
    obeys = job.cancelling is not None and not settlement.to.terminal
    if failure is None and (obeys or settlement.to is State.CANCELLED):
        failure = Failure(cause=Cause.CANCELLED, message=job.cancelling or "")
    job = _told(job, failure, now, counted=settlement.counted)
    job = replace(job, attempt=job.attempt + settlement.counted, claim="", holder="")
    if obeys:
        return cancelled(job, Cause.CANCELLED, job.cancelling or "", now)
    if settlement.to.terminal:
        job = _ended(job, settlement.to, failure, now)
        return replace(job, result=settlement.result, seconds=settlement.seconds)
    waits = settlement.delay if settlement.to is State.SCHEDULED else 0.0
    return postponed(job, now + waits, now)


def forsaken(job: Job, failure: Failure, now: float, *, counted: bool = True) -> Job:
    """Return what a lost lease makes of a running job; `failure` is the evidence."""
    evidence = replace(failure, holder=failure.holder or job.holder)
    job = _told(job, evidence, now, counted=False)
    job = replace(job, lost=job.lost + counted, claim="", holder="")
    if counted and job.lost >= LOST_LEASES_LIMIT:
        return _ended(job, State.DEAD, replace(evidence, cause=Cause.CRASH_LOOP), now)
    if job.cancelling is not None:
        return cancelled(job, Cause.CANCELLED, job.cancelling, now)
    return postponed(job, now, now)


def cancelled(job: Job, cause: Cause, reason: str, now: float) -> Job:
    """Return a job that ends as cancelled."""
    return _ended(job, State.CANCELLED, Failure(cause=cause, message=reason), now)


def expired(job: Job, now: float) -> Job:
    """Return a waiting job that was not started in time."""
    failure = Failure(cause=Cause.EXPIRED, message="it was not started before it expired")
    return _ended(job, State.DEAD, failure, now)


def redriven(job: Job, now: float) -> Job:
    """Return a dead job that is put back, with its attempts starting anew."""
    cause = Failure(cause=Cause.REDRIVEN, message="its attempts start anew")
    entry = Attempt(number=job.attempt, ended_at=now, failure=cause, counted=False)
    return replace(
        job,
        state=State.READY,
        # Whoever redrives a job wants it to run, however late that is.
        expires=None,
        attempt=0,
        lost=0,
        failure=cause,
        history=_remembered(job, entry),
        finished_at=None,
        kept_until=None,
    )


def recorded(job: Job, reason: str) -> Record:
    """Return what the ledger tells of a job.

    Args:
        job: the job.
        reason: why it is held back, if it is.
    """
    return Record(
        message=job.message,
        state=job.state,
        accepted_at=job.accepted_at,
        reason=reason,
        attempt=job.attempt,
        lost=job.lost,
        run_at=job.run_at,
        finished_at=job.finished_at,
        kept_until=job.kept_until,
        cancel_asked=job.state is State.RUNNING and job.cancelling is not None,
        holder=job.holder,
        result=job.result,
        failure=job.failure,
        history=job.history,
        seconds=job.seconds,
    )


def departing(job: Job) -> Record:
    """Return a job as it leaves for another engine."""
    record = recorded(job, "")
    record = replace(record, message=replace(job.message, priority=job.priority))
    return timeless(record) if job.waiting and job.expires is None else record


def restored(record: Record, place: int, token: int, now: float) -> Job:
    """Return the job that a record from another engine goes on as."""
    message = record.message
    job = Job(
        message=message,
        place=place,
        size=len(msgspec.json.encode(message)),
        accepted_at=record.accepted_at,
        state=record.state,
        priority=message.priority,
        expires=expiry(record),
        attempt=record.attempt,
        lost=record.lost,
        token=token,
        finished_at=record.finished_at,
        kept_until=record.kept_until,
        result=record.result,
        failure=record.failure,
        history=record.history,
        seconds=record.seconds,
    )
    return job if record.run_at is None else postponed(job, record.run_at, now)


def _told(job: Job, failure: Failure | None, now: float, *, counted: bool) -> Job:
    if failure is None:
        return job
    entry = Attempt(number=job.attempt + 1, ended_at=now, failure=failure, counted=counted)
    return replace(job, failure=failure, history=_remembered(job, entry))


def _remembered(job: Job, entry: Attempt) -> tuple[Attempt, ...]:
    """Return the history with one more entry: its beginning and its end, for it may be endless."""
    history = (*job.history, entry)
    first, rest = history[:FIRST_ATTEMPTS_KEPT], history[FIRST_ATTEMPTS_KEPT:]
    return (*first, *rest[-LAST_ATTEMPTS_KEPT:])


def _ended(job: Job, state: State, failure: Failure | None, now: float) -> Job:
    retention = job.message.retention or _KEPT
    kept = retention.dead if state is State.DEAD else retention.succeeded
    return replace(
        job,
        state=state,
        failure=failure,
        run_at=None,
        cancelling=None,
        finished_at=now,
        kept_until=now + kept,
    )
