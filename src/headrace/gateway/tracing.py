"""Tracing: notes of each request that may bring work what trace it is a part of, and when it came.

The job carries it (W3C Trace Context), so that whatever becomes of the request can be told later.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.clock import Clock
from headrace.trace import RECEIVED, TRACEPARENT, TRACESTATE, Origin, current, parse

_PARENT, _STATE = _FIELDS = (TRACEPARENT.encode(), TRACESTATE.encode())


class Tracing:
    """Lets the jobs that a request submits belong to its trace.

    Args:
        site: what answers requests.
        clock: tells when they came.
    """

    def __init__(self, site: ASGIApp, clock: Clock) -> None:
        self._site = site
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on (ASGI)."""
        if scope["type"] == "http" and scope["method"] == "POST":
            token = current.set(_origin(scope, self._clock.now()))
            try:
                await self._site(scope, receive, send)
            finally:
                current.reset(token)
        else:
            await self._site(scope, receive, send)


def _origin(scope: Scope, now: float) -> Origin:
    """Return where the jobs of a request come from.

    A request has one `traceparent`; its `tracestate` may be spread over several fields
    (W3C Trace Context §3.2, §3.3.1).
    """
    found = [field for field in scope["headers"] if field[0] in _FIELDS]
    if not found:
        return Origin(headers={RECEIVED: f"{now:.6f}"})
    parents = [value.decode("latin-1") for name, value in found if name == _PARENT]
    states = [value.decode("latin-1") for name, value in found if name == _STATE]
    trace = parse(parents[0].strip(), ",".join(states)) if len(parents) == 1 else None
    span = "" if trace is None else f" {trace.span_id}"
    return Origin(trace=trace, headers={RECEIVED: f"{now:.6f}{span}"})
