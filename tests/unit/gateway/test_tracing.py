"""A request's trace goes on in the jobs that it submits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from headrace.gateway.tracing import Tracing
from headrace.testing import ManualClock
from headrace.trace import RECEIVED, Origin, current, parse

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
FIELD = f"00-{TRACE_ID}-{SPAN_ID}-01"


class Site:
    """Notes what a request is a part of."""

    def __init__(self) -> None:
        self.seen: list[Origin | None] = []
        self.clock = ManualClock()

    async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
        self.seen.append(current.get())

    def ask(
        self, fields: Sequence[tuple[str, str]] = (), kind: str = "http", method: str = "POST"
    ) -> Origin | None:
        async def nothing(*_: object) -> Any:
            return {}

        headers = [(name.encode(), text.encode()) for name, text in fields]
        scope = {"type": kind, "method": method, "headers": headers}
        asyncio.run(Tracing(self, self.clock)(scope, nothing, nothing))
        return self.seen[-1]


@pytest.fixture
def site() -> Iterator[Site]:
    yield Site()
    assert current.get() is None


def test_a_request_with_a_trace(site: Site) -> None:
    origin = site.ask([("accept", "*/*"), ("traceparent", FIELD), ("tracestate", "a=1,b=2")])
    assert origin is not None
    assert origin.trace == parse(FIELD, "a=1,b=2")
    assert origin.headers == {RECEIVED: f"{site.clock.now():.6f} {SPAN_ID}"}


def test_a_tracestate_may_come_in_parts(site: Site) -> None:
    origin = site.ask([("tracestate", "a=1"), ("traceparent", FIELD), ("tracestate", "b=2")])
    assert origin is not None
    assert origin.trace == parse(FIELD, "a=1,b=2")


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("traceparent", "nonsense"), ("tracestate", "a=1")],
        [("traceparent", "\xff")],
        [("traceparent", FIELD), ("traceparent", FIELD)],
        [("tracestate", "a=1")],
    ],
)
def test_a_request_without_one_begins_one(site: Site, fields: list[tuple[str, str]]) -> None:
    origin = site.ask(fields)
    assert origin == Origin(headers={RECEIVED: f"{site.clock.now():.6f}"})


def test_what_brings_no_work_is_left_alone(site: Site) -> None:
    assert site.ask([("traceparent", FIELD)], method="GET") is None
    assert site.ask([("traceparent", FIELD)], kind="websocket") is None
