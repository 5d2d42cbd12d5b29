"""A request's trace goes on in the jobs that it submits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from headrace import App
from headrace.gateway.tracing import Tracing
from headrace.message import Message
from headrace.record import Filter
from headrace.testing import ManualClock
from headrace.trace import RECEIVED, Origin, current, of, parse, received
from tests.unit.gateway.conftest import Client

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


# Through a gateway --------------------------------------------------------------------------------


def messages(app: App) -> list[Message]:
    page = app.engine.find(Filter()).wait(5)
    return [record.message for record in page.records]


def test_a_job_carries_its_requests_trace(app: App, client: Client) -> None:
    fields = {"traceparent": FIELD, "tracestate": "a=1", "baggage": "secret=1"}
    assert client("POST", "/v1/tasks/echo", json={}, headers=fields).status_code == 202
    (message,) = messages(app)
    trace = of(message)
    assert (trace.trace_id, trace.state) == (TRACE_ID, "a=1")
    assert trace.span_id != SPAN_ID
    assert message.tags == (f"trace:{TRACE_ID}",)
    assert set(message.headers) == {RECEIVED, "tracestate"}
    arrival = received(message.headers)
    assert arrival is not None
    assert arrival[1] == SPAN_ID


def test_a_job_without_one_carries_when_it_came_alone(app: App, client: Client) -> None:
    client("POST", "/v1/tasks/echo", json={})
    (message,) = messages(app)
    assert (message.trace, message.tags, set(message.headers)) == (None, (), {RECEIVED})


def test_the_jobs_of_a_batch_are_one_trace(app: App, client: Client) -> None:
    jobs = [{"task": "echo"}, {"task": "echo"}]
    assert client("POST", "/v1/jobs/batch", json={"jobs": jobs}).status_code == 202
    found = messages(app)
    (trace_id,) = {of(message).trace_id for message in found}
    assert trace_id in {message.id.replace("-", "") for message in found}


def test_no_client_says_when_it_came(app: App, client: Client) -> None:
    order = {"task": "echo", "options": {"headers": {RECEIVED: "1.0"}}}
    assert client("POST", "/v1/jobs", json=order).status_code in (202, 400, 422)
    assert all(message.headers[RECEIVED] != "1.0" for message in messages(app))
