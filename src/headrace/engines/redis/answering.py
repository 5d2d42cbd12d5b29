"""What the script's answers to writes mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headrace.errors import (
    Conflict,
    DuplicateJob,
    EngineError,
    HeadraceError,
    InvalidOption,
    LeaseLost,
    QueueFull,
)
from headrace.record import State
from headrace.write import (
    CancelJobs,
    Changed,
    Delete,
    Depart,
    Departed,
    EditJobs,
    Extend,
    Extended,
    PurgeJobs,
    Put,
    Reclaim,
    Reclaimed,
    RetryJobs,
    Send,
    Sent,
    Settle,
    Settled,
    Stored,
    Write,
)

_RETRY_AFTER_MIN = 0.1
_RETRY_AFTER_MAX = 60.0
_RETRY_AFTER_UNKNOWN = 1.0

unpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode


def answers_to(writes: Sequence[Write[Any]], told: bytes) -> tuple[Any, ...]:
    """Return what the script answered to writes.

    Raises:
        Refused: it refused one of them, and so did nothing.
    """
    done, answers = unpack(told)
    if not done:
        raise refusal(answers)
    return tuple([_answer(w, a) for w, a in zip(writes, answers, strict=True)])


def _changed(told: Any) -> Changed:
    states = {job_id: State(state) for job_id, state in told[0]}
    return Changed(states, frozenset(told[1]))


_ANSWERS: dict[type[Write[Any]], Callable[[Any], Any]] = {
    Send: lambda told: Sent(tuple(told)),
    Settle: lambda told: Settled(frozenset(told)),
    Extend: lambda told: Extended(frozenset(told[0]), frozenset(told[1])),
    Reclaim: lambda told: Reclaimed(tuple(told[0]), tuple(told[1])),
    CancelJobs: _changed,
    RetryJobs: _changed,
    PurgeJobs: _changed,
    EditJobs: _changed,
    Put: Stored,
    Delete: Stored,
    Depart: lambda told: Departed(*told),
}


def _answer(write: Write[Any], told: Any) -> Any:
    answer = _ANSWERS.get(type(write))
    return None if answer is None else answer(told)


def refusal(told: Sequence[Any]) -> HeadraceError:  # noqa: PLR0911 - one row a refusal
    """Return why the script refused a write."""
    match told:
        case ["id-taken", job_id]:
            text = f"a job with the id {job_id} is there already: give each its own id"
            return DuplicateJob(text, job_id)
        case ["key-held", key, job_id, state]:
            text = f"job {job_id}, which is {state}, holds the unique key {key!r}"
            return DuplicateJob(text, job_id)
        case ["queue-full", queue, depth, size, excess, rate]:
            wait = excess / rate if rate else _RETRY_AFTER_UNKNOWN
            wait = min(max(wait, _RETRY_AFTER_MIN), _RETRY_AFTER_MAX)
            text = (
                f"queue {queue!r} is full: {depth} jobs, {size} bytes; try again in {wait:.1f} s,"
                " add workers, or raise its limit"
            )
            return QueueFull(text, queue, wait)
        case ["lease-lost", ids]:
            jobs = ", ".join(sorted(ids))
            return LeaseLost(f"the lease of job {jobs} is lost: nothing was written")
        case ["unreadable", job_id]:
            text = f"job {job_id} cannot be read by this version: upgrade headrace, or purge it"
            return InvalidOption(text)
        case ["conflict", key, expected, version]:
            found = f"version {version}" if version else "nothing"
            return Conflict(f"{key!r}: expected version {expected}, found {found}; load it again")
    return EngineError(f"the script refused for a reason that is unknown here: {told!r:.200}")
