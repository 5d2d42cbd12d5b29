"""What an App does becomes numbers, under names and labels that stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace import App, Retry
from headrace.observe.prometheus import Metrics
from headrace.record import QueueStatus
from headrace.testing import Harness, ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def harness(clock: ManualClock) -> Iterator[Harness]:
    app = App("memory:", clock=clock)

    @app.task(name="good", queue="mail")
    def good() -> None:
        clock.advance(2)

    @app.task(name="bad", queue="mail", retry=Retry(attempts=2, delay=0))
    def bad() -> None:
        raise ValueError("boom")

    with Harness(app, clock=clock) as harness:
        yield harness


def values(metrics: Metrics, *queues: QueueStatus) -> dict[str, float]:
    page, media_type = metrics.expose(queues)
    assert media_type.startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_jobs_are_counted_and_timed(harness: Harness, clock: ManualClock) -> None:
    metrics = Metrics(harness.app)
    app = harness.app
    good, bad = app.registry.get("good"), app.registry.get("bad")
    app.submit([good.call(), good.using(delay=60).call(), bad.call()])
    clock.advance(70)
    harness.drain(expected=ValueError)
    found = values(metrics)
    good_one, bad_one = "queue=mail,task=good", "queue=mail,task=bad"
    assert found[f"headrace_jobs_enqueued_total{{{good_one}}}"] == 2
    assert found[f"headrace_jobs_finished_total{{outcome=succeeded,{good_one}}}"] == 2
    assert found[f"headrace_jobs_finished_total{{outcome=dead,{bad_one}}}"] == 1
    assert found[f"headrace_retries_total{{{bad_one}}}"] == 1
    assert found[f"headrace_job_run_seconds_count{{{bad_one}}}"] == 2
    assert found[f"headrace_job_run_seconds_sum{{{good_one}}}"] == pytest.approx(4)
    assert found[f"headrace_job_wait_seconds_count{{{bad_one}}}"] == 1, "only the first run waits"
    # One waited from its submit, the other one from when it was due.
    waits = found[f"headrace_job_wait_seconds_sum{{{good_one}}}"]
    assert 70 + 10 <= waits <= 70 + 10 + 2 * 4 + 0.01


def test_queues_are_as_told(harness: Harness) -> None:
    metrics = Metrics(harness.app)
    status = QueueStatus(
        name="mail", ready=3, scheduled=2, running=1, bytes=99, paused=True, drain_rate=1.5
    )
    found = values(metrics, status)
    assert found["headrace_queue_depth{queue=mail,state=ready}"] == 3
    assert found["headrace_queue_depth{queue=mail,state=scheduled}"] == 2
    assert found["headrace_queue_depth{queue=mail,state=running}"] == 1
    assert found["headrace_queue_bytes{queue=mail}"] == 99
    assert found["headrace_queue_paused{queue=mail}"] == 1
    assert found["headrace_queue_finished_per_second{queue=mail}"] == 1.5
    assert "headrace_queue_depth{queue=mail,state=ready}" not in values(metrics)


def test_no_label_is_an_id(harness: Harness) -> None:
    metrics = Metrics(harness.app)
    (job,) = harness.app.submit([harness.app.registry.get("good").call()])
    harness.drain()
    assert not any(job.id in name for name in values(metrics))


def test_a_scraper_may_ask_for_openmetrics(harness: Harness) -> None:
    page, media_type = Metrics(harness.app).expose((), "application/openmetrics-text")
    assert media_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")


def test_two_apps_count_apart() -> None:
    one, other = Metrics(App("memory:")), Metrics(App("memory:"))
    assert one.registry is not other.registry
