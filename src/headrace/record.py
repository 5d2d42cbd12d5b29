"""What the ledger knows of a job, and of a queue."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from headrace.errors import InvalidOption
from headrace.message import Message


class State(StrEnum):
    """The states of a job; the last three are terminal."""

    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def terminal(self) -> bool:
        """Whether the job is finished."""
        return self in _TERMINAL


_TERMINAL = frozenset({State.SUCCEEDED, State.CANCELLED, State.DEAD})
TERMINAL = tuple(sorted(_TERMINAL))
LIVE = (State.SCHEDULED, State.READY, State.RUNNING)


class Cause(StrEnum):
    """Why a run or a job did not succeed: a word for programs."""

    ERROR = "error"
    RETRY = "retry"
    SNOOZE = "snooze"
    TIMEOUT = "timeout"
    LEASE_LOST = "lease-lost"
    ATTEMPTS_SPENT = "attempts-spent"
    NOT_RETRIED = "not-retried"
    REJECTED = "rejected"
    RESULT_REJECTED = "result-rejected"
    UNKNOWN_TASK = "unknown-task"
    INVALID_ARGUMENTS = "invalid-arguments"
    CRASH_LOOP = "crash-loop"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    PURGED = "purged"
    REDRIVEN = "redriven"
    UNREADABLE = "unreadable"


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong in one run, as text: exceptions are never rebuilt from data.

    Attributes:
        cause: a word for programs.
        type: name of the exception's class.
        message: its text.
        traceback: the traceback's text.
        logs: the last log lines of the run.
        holder: the worker that ran it.
        seconds: how long the run took; None: nobody knows.
    """

    cause: str
    type: str = ""
    message: str = ""
    traceback: str = ""
    logs: tuple[str, ...] = ()
    holder: str = ""
    seconds: float | None = None


FIRST_ATTEMPTS_KEPT = 10
LAST_ATTEMPTS_KEPT = 40
"""How many entries of a history are kept at least, its oldest and its newest; those between them go
when there are more: a job may snooze for ever."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a job's history: a run that did not succeed, or a redrive.

    Attributes:
        number: the attempt's number, from 1; lost leases and snoozes repeat the number.
        ended_at: when it ended, seconds since 1970 UTC.
        failure: what went wrong.
        counted: whether it used up an attempt.
    """

    number: int
    ended_at: float
    failure: Failure
    counted: bool = True


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the ledger knows of one job.

    Attributes:
        message: its envelope, as it was accepted.
        state: where it is in its life.
        reason: why a ready job is not claimed: "order-key" or "queue-paused"; else empty.
        attempt: attempts made so far, since it was submitted or redriven.
        lost: leases lost so far, since it was submitted or redriven.
        accepted_at: when it was accepted, seconds since 1970 UTC.
        run_at: when a scheduled job becomes ready.
        finished_at: when it ended.
        kept_until: when a finished job is pruned.
        cancel_asked: whether cancelling was asked for while it runs.
        holder: the worker that runs it.
        result: what it returned, as JSON; None unless it succeeded.
        failure: why it is dead or cancelled, or why its last run failed.
        history: its runs that did not succeed, oldest first: the first 10 and the last 40.
        seconds: how long the run took that succeeded; None: nobody knows. That of one that did not
            is in its failure.
    """

    message: Message
    state: State
    accepted_at: float
    reason: str = ""
    attempt: int = 0
    lost: int = 0
    run_at: float | None = None
    finished_at: float | None = None
    kept_until: float | None = None
    cancel_asked: bool = False
    holder: str = ""
    result: msgspec.Raw | None = None
    failure: Failure | None = None
    history: tuple[Attempt, ...] = ()
    seconds: float | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return self.message.id


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a list or a bulk change is about; empty fields select everything.

    Attributes:
        states: any of these states.
        queues: any of these queues.
        tasks: any of these tasks.
        tags: all of these tags.
        cause: the cause a dead or cancelled job carries.
    """

    states: tuple[State, ...] = ()
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cause: str | None = None


class Page(msgspec.Struct, frozen=True):
    """A part of a list: newest first.

    Attributes:
        records: at most as many as were asked for.
        cursor: what to pass to get the next page; None at the end.
    """

    records: tuple[Record, ...]
    cursor: str | None = None


class IdPage(msgspec.Struct, frozen=True):
    """A part of a list of which only the ids matter: newest first.

    Attributes:
        ids: at most as many as were asked for.
        cursor: what to pass to get the next page; None at the end.
    """

    ids: tuple[str, ...]
    cursor: str | None = None


_LARGEST_LIMIT = 2**63 - 1  # what engines can keep


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a queue holds before it is full.

    Attributes:
        max_depth: unfinished jobs; None: no limit.
        max_bytes: bytes of their envelopes; None: no limit.

    Raises:
        InvalidOption: one of them is no whole number from 0 on.
    """

    max_depth: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            limit = getattr(self, name)
            if limit is not None and (type(limit) is not int or not 0 <= limit <= _LARGEST_LIMIT):
                message = (
                    f"QueueLimits({name}={limit!r}): must be a whole number from 0 on, or None"
                )
                raise InvalidOption(message)


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue is doing.

    Attributes:
        name: its name.
        ready, scheduled, running: jobs in each state; `ready` counts those held back, too.
        bytes: size of the unfinished jobs' envelopes.
        paused: whether workers take nothing from it.
        limits: when it is full.
        drain_rate: jobs finished per second lately.
        due_in: seconds until its next scheduled job is due; None without one.
    """

    name: str
    ready: int = 0
    scheduled: int = 0
    running: int = 0
    bytes: int = 0
    paused: bool = False
    limits: QueueLimits = QueueLimits()
    drain_rate: float = 0.0
    due_in: float | None = None

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON documents tell of it: those of the command line and of the gateway."""
        return {
            "queue": self.name,
            "ready": self.ready,
            "scheduled": self.scheduled,
            "running": self.running,
            "bytes": self.bytes,
            "max_depth": self.limits.max_depth,
            "max_bytes": self.limits.max_bytes,
            "drain_rate": self.drain_rate,
            "due_in": self.due_in,
            "paused": self.paused,
        }

    @property
    def depth(self) -> int:
        """Unfinished jobs: what `max_depth` limits."""
        return self.ready + self.scheduled + self.running
