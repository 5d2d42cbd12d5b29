"""Numbers are served to scrapers, and do not ask the engine more often than needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from headrace import App
from headrace.gateway.caller import Caller
from headrace.gateway.gateway import Gateway
from headrace.gateway.settings import Settings
from headrace.observe.prometheus import Metrics
from headrace.record import QueueStatus
from headrace.testing import ManualClock
from tests.unit.gateway.conftest import Client

OPEN = Settings(anonymous=True)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def served(clock: ManualClock) -> Iterator[App]:
    app = App("memory:", clock=clock)

    @app.task(name="hello", queue="mail")
    def hello() -> None:
        pass

    yield app
    app.close()


def test_what_happened_here_and_how_queues_do(served: App) -> None:
    gateway = Gateway(served, OPEN, metrics=Metrics(served).expose)
    assert Client(gateway)("POST", "/v1/tasks/hello", json={}).status_code == 202
    answer = Client(gateway)("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert 'headrace_jobs_enqueued_total{queue="mail",task="hello"} 1.0' in lines
    assert 'headrace_queue_depth{queue="mail",state="ready"} 1.0' in lines


def test_the_engine_is_asked_once_in_five_seconds(served: App, clock: ManualClock) -> None:
    seen: list[Sequence[QueueStatus]] = []

    def expose(statuses: Sequence[QueueStatus], accept: str) -> tuple[bytes, str]:
        seen.append(statuses)
        return accept.encode(), "text/plain"

    gateway = Gateway(served, OPEN, metrics=expose)
    for seconds in (0.0, 4.9, 0.2):
        clock.advance(seconds)
        served.submit([served.registry.get("hello").call()])
        answer = Client(gateway)("GET", "/metrics", headers={"Accept": "a/b"})
        assert answer.content == b"a/b"
    assert [[status.ready for status in statuses] for statuses in seen] == [[1], [1], [3]]


def test_a_key_for_something_else_sees_none(served: App) -> None:
    async def admit(_: object) -> Caller:
        return Caller(name="k", scopes=frozenset({"jobs:read"}))

    gateway = Gateway(served, admit=admit, metrics=Metrics(served).expose)
    assert Client(gateway)("GET", "/metrics").status_code == 403


def test_without_any_there_is_no_such_page(served: App) -> None:
    assert Client(Gateway(served, OPEN))("GET", "/metrics").status_code == 404
