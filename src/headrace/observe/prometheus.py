"""Prometheus: what an App does, and how its queues are doing, as numbers to be scraped.

Names are in base units and carry no ids; labels are of few. It needs `prometheus-client`, which
`headrace[server]` brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.app import App
from headrace.ids import born
from headrace.message import Message
from headrace.record import QueueStatus, State
from headrace.write import Lease

_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
)  # fmt: skip
_OF_A_TASK = ("queue", "task")


class Metrics:
    """Counts what an App does in this process, and shows it.

    Each process counts what it does itself: a gateway what it accepts, a worker what it runs. How
    the queues are doing is told by whoever is asked for it, since the engine knows that.

    Args:
        app: the App; its telemetry is listened to.

    Attributes:
        registry: holds them; a program may add its own.
    """

    def __init__(self, app: App) -> None:
        self.registry = registry = CollectorRegistry()
        self._now = app.clock.now
        self._queues = _Queues()
        registry.register(self._queues)
        ProcessCollector(registry=registry)
        self._enqueued = Counter(
            "headrace_jobs_enqueued", "Jobs accepted.", _OF_A_TASK, registry=registry
        )
        self._finished = Counter(
            "headrace_jobs_finished", "Jobs that ended with a run.", (*_OF_A_TASK, "outcome"),
            registry=registry,
        )  # fmt: skip
        self._retries = Counter(
            "headrace_retries", "Runs after which a job is tried again.", _OF_A_TASK,
            registry=registry,
        )  # fmt: skip
        self._wait = Histogram(
            "headrace_job_wait_seconds", "From when a job was due to its first run.", _OF_A_TASK,
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._run = Histogram(
            "headrace_job_run_seconds", "How long runs take.", _OF_A_TASK,
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        build = Gauge("headrace_build_info", "The version.", ("version",), registry=registry)
        build.labels(version("headrace")).set(1)
        app.telemetry.subscribe(self._hear)

    def expose(self, queues: Sequence[QueueStatus], accept: str = "") -> tuple[bytes, str]:
        """Return everything as a scraper reads it, and the media type of that.

        Args:
            queues: how all queues are doing.
            accept: the formats that the scraper reads, an `Accept` field.
        """
        encode, media_type = choose_encoder(accept)
        self._queues.statuses = tuple(queues)
        return encode(self.registry), media_type

    def _hear(self, name: str, fields: Mapping[str, Any]) -> None:
        match name:
            case "jobs.sent" if fields["error"] is None:
                messages: Sequence[Message] = fields["messages"]
                for message in messages:
                    self._enqueued.labels(message.queue, message.task).inc()
            case "run.ended":
                self._note_run(fields["lease"], fields["to"], fields["seconds"])

    def _note_run(self, lease: Lease, to: State, seconds: float | None) -> None:
        message = lease.message
        labels = (message.queue, message.task)
        if to is State.SCHEDULED:
            self._retries.labels(*labels).inc()
        elif to.terminal:
            self._finished.labels(*labels, str(to)).inc()
        if seconds is None:
            return
        self._run.labels(*labels).observe(seconds)
        due = _due(message)
        if lease.attempt == 1 and not lease.lost and due is not None:
            self._wait.labels(*labels).observe(max(0.0, self._now() - seconds - due))


class _Queues(Collector):
    """Shows how queues are doing: what was told last."""

    def __init__(self) -> None:
        self.statuses: tuple[QueueStatus, ...] = ()

    def collect(self) -> Iterable[Metric]:
        """Yield their gauges."""
        depth = GaugeMetricFamily(
            "headrace_queue_depth", "Unfinished jobs.", labels=("queue", "state")
        )
        size = GaugeMetricFamily(
            "headrace_queue_bytes", "Bytes of the unfinished jobs' envelopes.", labels=("queue",)
        )
        paused = GaugeMetricFamily(
            "headrace_queue_paused", "Whether workers take nothing from it.", labels=("queue",)
        )
        rate = GaugeMetricFamily(
            "headrace_queue_finished_per_second", "Jobs finished a second lately, by all workers.",
            labels=("queue",),
        )  # fmt: skip
        for status in self.statuses:
            for state in ("ready", "scheduled", "running"):
                depth.add_metric((status.name, state), getattr(status, state))
            size.add_metric((status.name,), status.bytes)
            paused.add_metric((status.name,), int(status.paused))
            rate.add_metric((status.name,), status.drain_rate)
        return (depth, size, paused, rate)


def _due(message: Message) -> float | None:
    """Return about when a job was due first; its id says when it was submitted."""
    if message.run_at is not None:
        return message.run_at
    made = born(message.id)
    return None if made is None else made + (message.delay or 0.0)
