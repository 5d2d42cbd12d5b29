"""Portrait: a job as a client sees it: JSON, an ETag, and when to ask again."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from headrace.clock import rfc3339
from headrace.gateway.caller import RESERVED_TAGS
from headrace.job import Progress
from headrace.message import Message
from headrace.record import Attempt, Failure, Record, State

MEDIA_TYPE = "application/json"

_ETAG_BYTES = 12


def moment(seconds: float | None) -> str | None:
    """Return a moment, in seconds since 1970 UTC, as RFC 3339 writes it."""
    return None if seconds is None else rfc3339(seconds)


def accepted(message: Message, at: float, base: str = "") -> dict[str, Any]:
    """Return a job that has just been accepted, of which nothing else can be known yet.

    Args:
        message: its envelope.
        at: about when, seconds since 1970 UTC.
        base: where the gateway is mounted, such as "/work".
    """
    waits = message.run_at is not None or bool(message.delay)
    told = _head(message, State.SCHEDULED if waits else State.READY, at)
    told["links"] = links(message.id, base)
    return told


def portrait(
    record: Record, progress: Progress | None, inline: int, base: str = ""
) -> dict[str, Any]:
    """Return a job with all that its owner may know.

    Args:
        record: what the ledger knows.
        progress: what its run has last told.
        inline: bytes that a result may have to be part of it; a larger one has a link only.
        base: where the gateway is mounted, such as "/work".
    """
    result = record.result
    return outline(record, base) | {
        "progress": progress,
        "result": result if result is not None and len(bytes(result)) <= inline else None,
        "history": [_attempt(attempt) for attempt in record.history],
    }


def outline(record: Record, base: str = "") -> dict[str, Any]:
    """Return a job as lists and messages tell of it: all but what may be large.

    Args:
        record: what the ledger knows.
        base: where the gateway is mounted, such as "/work".
    """
    message = record.message
    return _head(message, record.state, record.accepted_at) | {
        "reason": record.reason,
        "attempt": record.attempt,
        "lost": record.lost,
        "run_at": moment(record.run_at),
        "finished_at": moment(record.finished_at),
        "kept_until": moment(record.kept_until),
        "cancel_asked": record.cancel_asked,
        "tags": [tag for tag in message.tags if not tag.startswith(RESERVED_TAGS)],
        "failure": _failure(record.failure),
        "links": links(record.id, base),
    }


def links(job_id: str, base: str = "") -> dict[str, str]:
    """Return where to go from a job; `base` is where the gateway is mounted."""
    place = f"{base}/v1/jobs/{job_id}"
    return {
        "self": place,
        "result": f"{place}/result",
        "events": f"{place}/events",
        "cancel": f"{place}/cancel",
    }


def etag(body: bytes) -> str:
    """Return a strong entity tag of a representation (RFC 9110 §8.8.3)."""
    return f'"{blake2b(body, digest_size=_ETAG_BYTES).hexdigest()}"'


def encode(content: object) -> bytes:
    """Return a representation as JSON."""
    return msgspec.json.encode(content)


def _head(message: Message, state: State, accepted_at: float) -> dict[str, Any]:
    return {
        "id": message.id,
        "state": state,
        "task": message.task,
        "queue": message.queue,
        "priority": message.priority,
        "accepted_at": moment(accepted_at),
    }


def failure_of(record: Record) -> dict[str, str] | None:
    """Return why a job has ended without a result, as far as its owner may know."""
    return _failure(record.failure)


def _failure(failure: Failure | None) -> dict[str, str] | None:
    """Leave out what tells of the inside: tracebacks, log lines, and the worker."""
    if failure is None:
        return None
    return {"cause": failure.cause, "type": failure.type, "message": failure.message}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "ended_at": moment(attempt.ended_at),
        "counted": attempt.counted,
        "failure": _failure(attempt.failure),
    }
