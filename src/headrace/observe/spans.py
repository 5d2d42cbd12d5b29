"""Spans: a trace as OTLP's JSON, so that it can be posted to any collector.

The ids are hexadecimal, numbers of 64 bits are texts, and kinds are numbers, as the OpenTelemetry
Protocol has them (OTLP 1.x, JSON encoding). Attributes are those of the semantic conventions for
messaging.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headrace.observe.life import Life, Step

_SERVER, _PRODUCER, _CONSUMER = 2, 4, 5
_OK, _ERROR = 1, 2


def document(trace_id: str, lives: Sequence[Life], version: str) -> dict[str, Any]:
    """Return a trace as what a collector accepts at `/v1/traces`.

    Args:
        trace_id: its id.
        lives: its jobs.
        version: of this package.
    """
    seen: set[str] = set()
    spans = [span for span in _spans(trace_id, lives) if not _seen(span["spanId"], seen)]
    scope = {"name": "headrace", "version": version}
    resource = {"attributes": [_attribute("service.name", "headrace")]}
    scoped = [{"scope": scope, "spans": spans}]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": scoped}]}


def _spans(trace_id: str, lives: Sequence[Life]) -> Iterator[dict[str, Any]]:
    for life in lives:
        for before, step in zip((None, *life.steps), life.steps, strict=False):
            if step.span and not step.ongoing:
                waited = before.end - before.start if before and before.kind == "wait" else 0.0
                yield _span(trace_id, life, step, waited)
        yield from _spans(trace_id, life.children)


def _seen(span_id: str, seen: set[str]) -> bool:
    """Jobs that came together share the span of their request."""
    known = span_id in seen
    seen.add(span_id)
    return known


def _span(trace_id: str, life: Life, step: Step, waited: float) -> dict[str, Any]:
    message = life.record.message
    runs = step.kind in ("run", "failed")
    operation = "process" if runs else "send"
    attributes: dict[str, object] = {
        "messaging.system": "headrace",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": message.queue,
        "messaging.message.id": message.id,
        "headrace.task": message.task,
    }
    if runs:
        attributes |= {"headrace.attempt": step.number, "headrace.wait_ms": round(waited * 1000)}
    if step.kind == "failed":
        attributes["error.type"] = step.note.partition(":")[0]
    links = [{"traceId": trace_id, "spanId": step.before}] if step.before else []
    return {
        "traceId": trace_id,
        "spanId": step.span,
        "parentSpanId": step.parent,
        "name": f"{operation} {message.queue}",
        "kind": _CONSUMER if runs else _SERVER if step.kind == "request" else _PRODUCER,
        "startTimeUnixNano": _nanoseconds(step.start),
        "endTimeUnixNano": _nanoseconds(step.end),
        "attributes": [_attribute(name, value) for name, value in attributes.items()],
        "links": links,
        "status": {"code": _ERROR, "message": step.note} if step.kind == "failed" else {"code": 0},
    }


def _attribute(name: str, value: object) -> dict[str, Any]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": name, "value": {kind: str(value)}}


def _nanoseconds(seconds: float) -> str:
    return str(round(seconds * 1e6) * 1000)
