"""Event: what a webhook says: one JSON text that is a CloudEvent and a Standard Webhooks payload.

CloudEvents 1.0 in structured mode (JSON format §3), with the member `timestamp` that Standard
Webhooks wants beside `type` and `data`. It is thin: who needs more follows the links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from headrace.clock import rfc3339
from headrace.record import Failure, Record
from headrace.trace import TAG

MEDIA_TYPE = "application/cloudevents+json"

_ENDED = "headrace.job."
PRUNED = _ENDED + "pruned"
PING = "headrace.ping"
TYPES = (_ENDED + "succeeded", _ENDED + "cancelled", _ENDED + "dead", PRUNED)
"""The types that an endpoint can choose from; a ping comes only to who asked for it."""

TENANT_TAG = "tenant:"
HIDDEN_TAGS = (TENANT_TAG, TAG)
"""Tags that begin so are the gateway's own, and not told."""

RESULT_LIMIT = 16 * 1024
_MESSAGE_LIMIT = 2000
_SOURCE = "urn:headrace:jobs"
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Event(msgspec.Struct, frozen=True):
    """Something that happened.

    Attributes:
        id: names it; also the `webhook-id` of its messages.
        type: what happened, of `TYPES` or `PING`.
        body: the JSON text that is sent; it stays the same byte by byte, however often.
    """

    id: str
    type: str
    body: str


def ended(record: Record, event_id: str) -> Event:
    """Return the event that a job has ended."""
    message, result = record.message, record.result
    fits = result is not None and len(bytes(result)) <= RESULT_LIMIT
    data = {
        "id": record.id,
        "state": record.state,
        "task": message.task,
        "queue": message.queue,
        "tags": _shown(message.tags),
        "attempt": record.attempt,
        "finished_at": rfc3339(record.finished_at or record.accepted_at),
        "result": result if fits else None,
        "failure": _failure(record.failure),
        "links": _links(record.id),
    }
    at = record.finished_at or record.accepted_at
    return _event(event_id, _ENDED + record.state, at, record.id, data, message.trace)


def pruned(job_id: str, task: str, queue: str, tags: Iterable[str], event_id: str) -> Event:
    """Return the event that a job has ended, and was forgotten before anybody saw how.

    Its time is unknown, so it is that of the job's id (UUIDv7, RFC 9562 §5.7).
    """
    data = {"id": job_id, "state": None, "task": task, "queue": queue, "tags": _shown(tags)}
    return _event(event_id, PRUNED, _made_at(job_id), job_id, data, None)


def ping(endpoint_id: str, event_id: str, at: float) -> Event:
    """Return the event that somebody wants to see whether an endpoint answers."""
    return _event(event_id, PING, at, endpoint_id, {"endpoint": endpoint_id}, None)


def traceparent(trace: str | None) -> str | None:
    """Return a trace context, if it is a W3C `traceparent` (Trace Context §3.2)."""
    return trace if trace is not None and _TRACE.fullmatch(trace) else None


def _event(
    event_id: str, kind: str, at: float, subject: str, data: dict[str, Any], trace: str | None
) -> Event:
    content = {
        "specversion": "1.0",
        "id": event_id,
        "source": _SOURCE,
        "type": kind,
        "subject": subject,
        "time": rfc3339(at),
        "timestamp": rfc3339(at),
        "datacontenttype": "application/json",
    }
    if (parent := traceparent(trace)) is not None:
        content["traceparent"] = parent  # CloudEvents' extension "distributed tracing"
    return Event(event_id, kind, msgspec.json.encode(content | {"data": data}).decode())


def _shown(tags: Iterable[str]) -> list[str]:
    return [tag for tag in tags if not tag.startswith(HIDDEN_TAGS)]


def _failure(failure: Failure | None) -> dict[str, str] | None:
    """Leave out what tells of the inside: tracebacks, log lines, and the worker."""
    if failure is None:
        return None
    message = failure.message[:_MESSAGE_LIMIT]
    return {"cause": failure.cause, "type": failure.type, "message": message}


def _links(job_id: str) -> dict[str, str]:
    return {"self": f"/v1/jobs/{job_id}", "result": f"/v1/jobs/{job_id}/result"}


def _made_at(job_id: str) -> float:
    try:
        return int(job_id[:13].replace("-", ""), 16) / 1000
    except ValueError:  # an id of somebody's own
        return 0.0
