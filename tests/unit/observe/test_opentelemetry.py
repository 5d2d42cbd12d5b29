"""Submits and runs become the spans and metrics that the conventions ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from headrace import App, Retry
from headrace.errors import DuplicateJob
from headrace.node import Node
from headrace.observe.opentelemetry import BUCKETS, instrument
from headrace.testing import Harness, drain
from headrace.trace import Origin, beginning, current, of, parse

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


class Stage:
    """An App whose spans and metrics are kept."""

    def __init__(self, folder: Path) -> None:
        self.app = App(f"sqlite:///{folder}/jobs.db", durability="crash", ballast=0)
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        instrument(self.app, self.provider, self.meters)

    def spans(self, name: str) -> list[ReadableSpan]:
        spans = self.exporter.get_finished_spans()
        return [span for span in spans if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span

    def points(self, name: str, **wanted: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        names = {f"messaging.{key.replace('_', '.')}": value for key, value in wanted.items()}
        return [p for p in found if names.items() <= dict(p.attributes or {}).items()]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    with stage.app:
        yield stage
    stage.provider.shutdown()
    stage.meters.shutdown()


def context(span: ReadableSpan) -> tuple[str, str]:
    place = span.get_span_context()
    assert place is not None
    return f"{place.trace_id:032x}", f"{place.span_id:016x}"


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def links(span: ReadableSpan) -> list[str]:
    return [f"{link.context.span_id:016x}" for link in span.links]


def test_a_run_is_a_child_of_its_submit_and_linked_to_it(stage: Stage) -> None:
    @stage.app.task(queue="mail")
    def hello() -> None:
        assert get_current_span().get_span_context().is_valid

    job = hello.submit()
    (record,) = drain(stage.app)
    send, process = stage.span("send mail"), stage.span("process mail")
    assert (send.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert str(of(record.message)).split("-")[1:3] == list(context(send))
    assert context(process)[0] == context(send)[0]
    assert parent(process) == context(send)[1]
    assert links(process) == [context(send)[1]]
    assert dict(process.attributes or {}) == {
        "messaging.system": "headrace",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": job.id,
        "headrace.task": hello.name,
        "headrace.attempt": 1,
    }
    assert process.status.status_code is StatusCode.UNSET


def test_a_submit_belongs_to_the_span_that_is_active(stage: Stage) -> None:
    @stage.app.task
    def hello() -> None:
        pass

    with stage.provider.get_tracer("mine").start_as_current_span("request") as request:
        hello.submit()
    assert parent(stage.span("send default")) == f"{request.get_span_context().span_id:016x}"


def test_a_submit_belongs_to_the_request_that_it_came_with(stage: Stage) -> None:
    @stage.app.task
    def hello() -> None:
        pass

    token = current.set(Origin(trace=parse(f"00-{TRACE_ID}-{SPAN_ID}-01", "a=1")))
    hello.submit()
    current.reset(token)
    send = stage.span("send default")
    assert (context(send)[0], parent(send)) == (TRACE_ID, SPAN_ID)
    (record,) = drain(stage.app)
    assert of(record.message).state == "a=1"
    assert of(record.message).span_id == context(send)[1]


def test_child_jobs_belong_to_the_run_that_submits_them(stage: Stage) -> None:
    @stage.app.task(queue="leaves")
    def leaf() -> None:
        pass

    @stage.app.task
    def tree() -> None:
        leaf.submit()

    tree.submit()
    drain(stage.app)
    assert parent(stage.span("send leaves")) == context(stage.span("process default"))[1]
    sent = [*stage.spans("send default"), *stage.spans("send leaves")]
    ran = [*stage.spans("process default"), *stage.spans("process leaves")]
    assert len({context(span)[0] for span in (*sent, *ran)}) == 1


def test_a_job_that_nobody_traced_keeps_the_trace_that_it_begins(stage: Stage) -> None:
    app = App(stage.app.config.url, durability="crash", ballast=0)

    def hello() -> None:
        pass

    stage.app.task(name="hello")(hello)
    with app:
        job = app.task(name="hello")(hello).submit()
    drain(stage.app)
    process = stage.span("process default")
    assert context(process)[0] == job.id.replace("-", "")
    assert parent(process) == beginning(job.id).span_id


def test_a_run_an_hour_after_its_submit_is_only_linked_to_it(stage: Stage) -> None:
    @stage.app.task
    def leaf() -> None:
        pass

    @stage.app.task
    def tree() -> None:
        leaf.submit()

    with Harness(stage.app) as harness:
        tree.using(delay=7200).submit()
        harness.clock.advance(7201)
        records = harness.drain()
    (send,) = [s for s in stage.spans("send default") if s.parent is None]
    (process,) = [s for s in stage.spans("process default") if s.parent is None]
    assert context(process)[0] != context(send)[0]
    assert links(process) == [context(send)[1]]
    (child,) = [record for record in records if record.message.task == leaf.name]
    # Whoever looks at the first trace finds it all the same.
    assert set(child.message.tags) == {f"trace:{context(s)[0]}" for s in (send, process)}


def test_an_attempt_is_linked_to_the_one_before(stage: Stage) -> None:
    @stage.app.task(retry=Retry(attempts=2, delay=0))
    def broken() -> None:
        raise ValueError("boom")

    broken.submit()
    drain(stage.app, expected=ValueError)
    first, second = stage.spans("process default")
    assert links(second) == [context(stage.span("send default"))[1], context(first)[1]]
    assert first.status.status_code is StatusCode.ERROR
    assert dict(first.attributes or {})["error.type"] == "ValueError"
    assert [event.name for event in first.events] == ["exception"]


def test_a_batch_is_one_submit(stage: Stage) -> None:
    @stage.app.task
    def hello(n: int) -> None:
        pass

    stage.app.submit([hello.call(n) for n in range(3)])
    send = stage.span("send default")
    assert dict(send.attributes or {})["messaging.batch.message_count"] == 3
    drain(stage.app)
    assert {parent(span) for span in stage.spans("process default")} == {context(send)[1]}
    (point,) = stage.points("messaging.client.sent.messages", destination_name="default")
    assert point.value == 3


def test_a_refused_submit_is_an_error(stage: Stage) -> None:
    @stage.app.task
    def hello() -> None:
        pass

    hello.using(unique_key="k").submit()
    with pytest.raises(DuplicateJob):
        hello.using(unique_key="k").submit()
    _, refused = stage.spans("send default")
    assert refused.status.status_code is StatusCode.ERROR
    assert dict(refused.attributes or {})["error.type"] == "DuplicateJob"
    points = stage.points("messaging.client.sent.messages")
    assert sorted(dict(p.attributes).get("error.type", "") for p in points) == ["", "DuplicateJob"]


def test_a_worker_receives_and_settles(stage: Stage) -> None:
    @stage.app.task
    async def hello() -> None:
        pass

    node = Node(stage.app)
    node.start()
    hello.submit().result(timeout=10)
    node.stop()
    sent = context(stage.span("send default"))[1]
    for name in ("receive default", "settle default"):
        span = stage.span(name)
        assert (span.kind, links(span)) == (SpanKind.CLIENT, [sent])
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time
    for operation in ("send", "receive", "settle"):
        (point,) = stage.points("messaging.client.operation.duration", operation_name=operation)
        assert isinstance(point, HistogramDataPoint)
        assert (point.count, tuple(point.explicit_bounds)) == (1, BUCKETS)
    (point,) = stage.points("messaging.process.duration", destination_name="default")
    assert (point.count, tuple(point.explicit_bounds)) == (1, BUCKETS)
    (point,) = stage.points("messaging.client.consumed.messages")
    assert point.value == 1


def test_what_is_done_twice_is_done_once(stage: Stage) -> None:
    before = stage.app.middleware
    instrument(stage.app, stage.provider, stage.meters)
    assert stage.app.middleware == before
