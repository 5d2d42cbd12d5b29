"""The writes, as values: what `Engine.commit` takes, and what it answers to each.

A commit is one list of writes, applied atomically: if one of them is refused, none happens. Values
let independent things share a transaction, and let an engine gather the commits of many callers
into one.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from headrace.cargo import Cargo
from headrace.message import Message
from headrace.record import Failure, QueueLimits, State

Answer_co = TypeVar("Answer_co", covariant=True)

LOST_LEASES_LIMIT = 3
"""So many lost leases end a job as dead ("crash-loop"): it keeps killing its worker."""


class Write(msgspec.Struct, Generic[Answer_co], frozen=True):
    """One thing to be written; the type parameter is what the engine answers to it."""


# Sending ------------------------------------------------------------------------------------------


class Sent(msgspec.Struct, frozen=True):
    """The answer to `Send`.

    Attributes:
        replaced: ids of the jobs that `on_conflict="replace"` replaced.
    """

    replaced: tuple[str, ...] = ()


class Send(Write[Sent], frozen=True):
    """Accept messages as jobs, in this order; all of them or none.

    Refused with `DuplicateJob` (a live job holds a unique key, or an id is taken) or `QueueFull`.
    """

    messages: tuple[Message, ...]


# Leases -------------------------------------------------------------------------------------------


class Lease(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A worker's time-limited right to run a job.

    Attributes:
        message: the job's envelope.
        token: the fencing token; it only grows, over all claims of this job.
        claim: a random id of the claim, beginning with the holder's name and a dot.
        attempt: the number of this attempt, from 1.
        lost: leases lost before; above 0 the job is given alone, and is to be run alone.
        place: where the engine keeps the job; its own affair.
    """

    message: Message
    token: int
    claim: str
    attempt: int = 1
    lost: int = 0
    place: int = 0

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.message.id


class Extended(msgspec.Struct, frozen=True):
    """The answer to `Extend`.

    Attributes:
        lost: ids of the jobs whose lease was lost already.
        cancelled: ids of the jobs that somebody asked to cancel.
    """

    lost: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()


class Extend(Write[Extended], frozen=True):
    """Keep leases for `seconds` from now (or for the message's own `lease`); the heartbeat."""

    leases: tuple[Lease, ...]
    seconds: float


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What becomes of one run.

    Attributes:
        lease: the lease it ran under; a stale one changes nothing.
        to: the job's next state: any but `running`.
        counted: whether it used up an attempt.
        delay: seconds until it is due, if `to` is `scheduled`.
        result: what it returned, as JSON, if `to` is `succeeded`.
        failure: what went wrong; goes into the history. A plain release has none.
        seconds: how long the run took, if `to` is `succeeded`; None: nobody knows.
    """

    lease: Lease
    to: State
    counted: bool = True
    delay: float = 0.0
    result: msgspec.Raw | None = None
    failure: Failure | None = None
    seconds: float | None = None


class Settled(msgspec.Struct, frozen=True):
    """The answer to `Settle`.

    Attributes:
        lost: ids of the jobs whose lease was stale; nothing was changed for them.
    """

    lost: frozenset[str] = frozenset()


class Settle(Write[Settled], frozen=True):
    """Report what became of runs.

    With `strict`, a stale lease refuses the whole commit with `LeaseLost`; else it is reported in
    the answer, and the other settlements count.
    """

    settlements: tuple[Settlement, ...]
    strict: bool = False


class Reclaimed(msgspec.Struct, frozen=True):
    """The answer to `Reclaim`.

    Attributes:
        returned: ids of the jobs that are ready again.
        dead: ids of the jobs that lost their lease once too often.
    """

    returned: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()


class Reclaim(Write[Reclaimed], frozen=True):
    """Take back every lease of a worker that is known to be dead, without waiting for it to expire.

    Each job has `failure` in its history, as the evidence.

    Attributes:
        holder: the worker's name.
        failure: how it died.
        counted: whether each job counts a lost lease; not if it died of something else than jobs.
    """

    holder: str
    failure: Failure
    counted: bool = True


# Changes to jobs and queues -----------------------------------------------------------------------


class Changed(msgspec.Struct, frozen=True):
    """The answer to a change of jobs.

    Attributes:
        states: the state of each job afterwards, by id; unknown ids are missing.
        changed: ids of the jobs that the write changed.
    """

    states: dict[str, State] = {}
    changed: frozenset[str] = frozenset()


class CancelJobs(Write[Changed], frozen=True):
    """Cancel waiting jobs at once; ask the workers of running ones (see `Extended.cancelled`)."""

    ids: tuple[str, ...]
    reason: str = ""


class RetryJobs(Write[Changed], frozen=True):
    """Make scheduled jobs due now and put dead ones back, with their attempts starting anew.

    Refused with `DuplicateJob` when the unique key of a dead job lives again.
    """

    ids: tuple[str, ...]


class PurgeJobs(Write[Changed], frozen=True):
    """Delete finished jobs; end waiting ones as cancelled, cause "purged". Running ones stay."""

    ids: tuple[str, ...]


class EditJobs(Write[Changed], frozen=True):
    """Change what has not started: a new priority, or a new moment (seconds since 1970 UTC)."""

    ids: tuple[str, ...]
    priority: int | None = None
    run_at: float | None = None


class PauseQueue(Write[None], frozen=True):
    """Let workers take nothing more from a queue, or let them again (`paused=False`)."""

    queue: str
    paused: bool = True


class LimitQueue(Write[None], frozen=True):
    """Set when a queue is full."""

    queue: str
    limits: QueueLimits


# The store ----------------------------------------------------------------------------------------


class Stored(msgspec.Struct, frozen=True):
    """The answer to `Put` and `Delete`.

    Attributes:
        version: the entry's version now, from 1; 0 after a deletion.
    """

    version: int


class Put(Write[Stored], frozen=True):
    """Remember a small thing.

    Attributes:
        key: its name.
        value: its bytes.
        expect: the version it must have now, 0 for "not there"; None does not care. Refused with
            `Conflict` otherwise.
        expires_after: seconds until it is forgotten; None keeps it.
    """

    key: str
    value: bytes
    expect: int | None = None
    expires_after: float | None = None


class Delete(Write[Stored], frozen=True):
    """Forget a small thing; forgetting what is not there is no error."""

    key: str
    expect: int | None = None


# Moving to another engine -------------------------------------------------------------------------


class Departed(msgspec.Struct, frozen=True):
    """The answer to `Depart`.

    Attributes:
        jobs: how many left.
        entries: how many store entries left.
    """

    jobs: int = 0
    entries: int = 0


class Depart(Write[Departed], frozen=True):
    """Take jobs out of queues and ledger, and put them into the store, as `Cargo`, under one key.

    Taken are, oldest first, the unfinished jobs that do not run and of whose order key none runs;
    if there are none, finished jobs; if nothing unfinished is left at all, store entries. Only
    paused queues are looked at. When there is nothing to take, no entry is made.

    Refused with `Conflict` when the key is there already, and with `InvalidOption` when a message
    cannot be read by this version.

    Attributes:
        key: the entry's name; begins with `headrace.cargo.MOVE_PREFIX`.
        limit: jobs, or entries, at most.
        nbytes: what they may weigh, roughly; one is taken whatever it weighs.
    """

    key: str
    limit: int
    nbytes: int


class Restore(Write[None], frozen=True):
    """Take in what left another engine, as it was there, behind what is here already.

    Limits of queues do not count: the jobs were accepted. Tokens go on above the cargo's. An entry
    whose key is there stays as it is here.

    Refused with `DuplicateJob` when an id is taken, or a unique key is held by a live job.
    """

    cargo: Cargo
