"""OpenTelemetry: spans and metrics of submits and runs, by the conventions for messaging (v1.44).

    send QUEUE      PRODUCER  a submit; its context is what its jobs carry
    receive QUEUE   CLIENT    a claim that found jobs, with links to them
    process QUEUE   CONSUMER  a run, a child of the submit, with a link to it
    settle QUEUE    CLIENT    what became of runs was written

It needs `opentelemetry-api` alone (`headrace[otel]`); what is recorded, and where it goes, is up to
the providers that a program sets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import metrics, trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from headrace.app import App
from headrace.clock import Clock
from headrace.context import Context
from headrace.ids import born
from headrace.logs import current as running
from headrace.message import Message
from headrace.outcome import Cancel, Done, Release, Snooze
from headrace.record import State
from headrace.trace import Origin, Trace, current, of
from headrace.write import Lease

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds of the histograms, in seconds, as the conventions have them."""

_LATE_SECONDS = 3600.0
"""A run so long after its submit is linked to it, and begins a trace of its own."""
_FAILED_LIMIT = 10_000
_NO_FAILURES = (Done, Snooze, Cancel, Release)

Attributes = dict[str, str | int]


def instrument(
    app: App,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> None:
    """Let an App's submits and runs be seen; what is done twice is done once.

    A worker does it by itself when the program has set a provider. It is to be called before a
    worker starts.

    Args:
        app: the App.
        tracer_provider: makes the tracer; None: the global one.
        meter_provider: makes the meter; None: the global one.
    """
    if app.telemetry.tracer is not None:
        return
    number = version("headrace")
    observer = Observer(
        trace.get_tracer("headrace", number, tracer_provider),
        metrics.get_meter("headrace", number, meter_provider),
        app.clock,
    )
    app.telemetry.tracer = observer.send
    app.telemetry.subscribe(observer.hear)
    app.middleware = (observer.process, *app.middleware)


def is_set() -> bool:
    """Return whether the program has set a provider: without one nothing would be recorded."""
    meters = type(metrics.get_meter_provider()).__name__
    tracers = trace.get_tracer_provider()
    return not isinstance(tracers, trace.ProxyTracerProvider) or not meters.startswith("_Proxy")


class Observer:
    """Makes spans and measures.

    Args:
        tracer: makes the spans.
        meter: makes the instruments.
        clock: tells when what is told of afterwards has ended.
    """

    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter, clock: Clock) -> None:
        self._tracer = tracer
        self._clock = clock
        self._failed: OrderedDict[str, SpanContext] = OrderedDict()
        self._sent = meter.create_counter("messaging.client.sent.messages", "{message}")
        self._consumed = meter.create_counter("messaging.client.consumed.messages", "{message}")
        self._operations = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._processing = meter.create_histogram(
            "messaging.process.duration", "s", explicit_bucket_boundaries_advisory=BUCKETS
        )

    def send(self, messages: Sequence[Message], place: Trace | None) -> _Sending:
        """Begin the span of a submit; see `headrace.telemetry.Tracer`."""
        queues = {message.queue for message in messages}
        attributes = _attributes("send", "send", queues, len(messages))
        if len(messages) == 1:
            attributes["messaging.message.id"] = messages[0].id
        ambient = trace.get_current_span().get_span_context().is_valid
        span = self._tracer.start_span(
            _name("send", queues),
            context=None if ambient or place is None else _below(place),
            kind=SpanKind.PRODUCER,
            attributes=attributes,
        )
        return _Sending(span)

    @contextmanager
    def process(self, context: Context) -> Iterator[None]:
        """Make the span of a run around it: a middleware."""
        run = running.get()
        if run is None:  # nobody's run: a test calls it, say
            yield
            return
        message, queues = run.lease.message, {context.queue}
        attributes = _attributes("process", "process", queues, 1)
        attributes |= {
            "messaging.message.id": message.id,
            "headrace.task": message.task,
            "headrace.attempt": context.attempt,
        }
        before = self._failed.pop(message.id, None)
        links = [Link(_remote(of(message))), *([Link(before)] if before else [])]
        parent = contexts.Context() if _is_late(message) else _below(of(message))
        with (
            self._tracer.start_as_current_span(
                _name("process", queues),
                context=parent,
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                links=links,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _in_place(span),
        ):
            try:
                yield
            except _NO_FAILURES:
                raise
            except BaseException as error:
                self._note(message.id, span, error)
                raise

    def hear(self, name: str, fields: Mapping[str, Any]) -> None:
        """Measure what is told of: a subscriber of `Telemetry`."""
        match name:
            case "jobs.sent":
                self._measure_sent(fields["messages"], fields["error"], fields["seconds"])
            case "jobs.received":
                leases: Sequence[Lease] = fields["leases"]
                self._measure("receive", "receive", leases, fields["seconds"])
                for queue, count in _counts([lease.message for lease in leases]):
                    self._consumed.add(count, _attributes("receive", "receive", {queue}, 1))
            case "jobs.settled":
                self._measure("settle", "settle", fields["leases"], fields["seconds"])
            case "run.ended" if fields["seconds"] is not None:
                message: Message = fields["lease"].message
                attributes = _attributes("process", "process", {message.queue}, 1)
                if fields["to"] not in (State.SUCCEEDED, State.READY):
                    attributes["error.type"] = str(fields["to"])
                self._processing.record(fields["seconds"], attributes)

    def _measure_sent(
        self, messages: Sequence[Message], error: BaseException | None, seconds: float
    ) -> None:
        failed: Attributes = {}
        if error is not None:
            failed = {"error.type": type(error).__qualname__}
        queues = {message.queue for message in messages}
        self._operations.record(seconds, _attributes("send", "send", queues, 1) | failed)
        for queue, count in _counts(messages):
            self._sent.add(count, _attributes("send", "send", {queue}, 1) | failed)

    def _measure(self, operation: str, kind: str, leases: Sequence[Lease], seconds: float) -> None:
        """Make the span of an operation that has ended just now, and measure it."""
        messages = [lease.message for lease in leases]
        queues = {message.queue for message in messages}
        self._operations.record(seconds, _attributes(operation, kind, queues, 1))
        now = self._clock.now()
        span = self._tracer.start_span(
            _name(operation, queues),
            context=contexts.Context(),
            kind=SpanKind.CLIENT,
            attributes=_attributes(operation, kind, queues, len(messages)),
            links=[Link(_remote(of(message))) for message in messages],
            start_time=round((now - seconds) * 1e9),
        )
        span.end(round(now * 1e9))

    def _note(self, job_id: str, span: Span, error: BaseException) -> None:
        _fail(span, error)
        span.record_exception(error)
        self._failed[job_id] = span.get_span_context()
        if len(self._failed) > _FAILED_LIMIT:
            self._failed.popitem(last=False)


class _Sending:
    """A submit that is under way: its span."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace = _place(span)

    def end(self, error: BaseException | None) -> None:
        """Note the engine's answer."""
        if error is not None:
            _fail(self._span, error)
        self._span.end()


@contextmanager
def _in_place(span: Span) -> Iterator[None]:
    """Let what the run submits, and what it logs, belong to its span."""
    place = _place(span)
    if place is None:
        yield
        return
    token = current.set(Origin(trace=place))
    try:
        yield
    finally:
        current.reset(token)


def _fail(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, str(error)))


def _place(span: Span) -> Trace | None:
    """Return the place of a span; None if there is none, as without a provider."""
    found = span.get_span_context()
    if not found.is_valid:
        return None
    return Trace(
        trace_id=f"{found.trace_id:032x}",
        span_id=f"{found.span_id:016x}",
        flags=int(found.trace_flags),
        state=found.trace_state.to_header(),
    )


def _remote(place: Trace) -> SpanContext:
    return SpanContext(
        trace_id=int(place.trace_id, 16),
        span_id=int(place.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(place.flags),
        trace_state=TraceState.from_header([place.state]) if place.state else TraceState(),
    )


def _below(place: Trace) -> contexts.Context:
    """Return a context in which a new span is a child of a place elsewhere."""
    return trace.set_span_in_context(NonRecordingSpan(_remote(place)), contexts.Context())


def _is_late(message: Message) -> bool:
    if message.delay is not None:
        return message.delay > _LATE_SECONDS
    made = born(message.id)
    return message.run_at is not None and made is not None and message.run_at - made > _LATE_SECONDS


def _name(operation: str, queues: set[str]) -> str:
    """Return a span's name: of few, so it never has an id in it."""
    return f"{operation} {next(iter(queues))}" if len(queues) == 1 else operation


def _attributes(operation: str, kind: str, queues: set[str], count: int) -> Attributes:
    attributes: Attributes = {
        "messaging.system": "headrace",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
    }
    if len(queues) == 1:
        attributes["messaging.destination.name"] = next(iter(queues))
    if count > 1:
        attributes["messaging.batch.message_count"] = count
    return attributes


def _counts(messages: Sequence[Message]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for message in messages:
        counts[message.queue] = counts.get(message.queue, 0) + 1
    return list(counts.items())
