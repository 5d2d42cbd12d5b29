"""Events reach whoever listens, and nobody can spoil them for others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from headrace.app import App
from headrace.telemetry import Telemetry


def test_events_reach_every_subscriber_until_it_leaves() -> None:
    telemetry = Telemetry()
    first: list[tuple[str, Mapping[str, Any]]] = []
    second: list[str] = []
    leave = telemetry.subscribe(lambda name, fields: first.append((name, fields)))
    telemetry.subscribe(lambda name, _: second.append(name))
    telemetry.event("jobs.settled", count=3)
    leave()
    leave()
    telemetry.event("jobs.lost")
    assert first == [("jobs.settled", {"count": 3})]
    assert second == ["jobs.settled", "jobs.lost"]


def test_a_subscriber_cannot_wait_for_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry()
    with App("memory:") as app:

        @app.task
        def echo(n: int) -> int:
            return n

        telemetry.subscribe(lambda _name, _fields: echo.submit(1))
        telemetry.event("jobs.settled")
        assert "in a subscriber of events: hand it to a thread of your own" in caplog.text
        assert app.engine.depth().wait(5) == ()
        echo.submit(2)  # afterwards it may


def test_a_failing_subscriber_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry()
    heard: list[str] = []

    def fail(name: str, fields: Mapping[str, Any]) -> None:
        raise ZeroDivisionError(name, fields)

    telemetry.subscribe(fail)
    telemetry.subscribe(lambda name, _: heard.append(name))
    telemetry.event("jobs.settled")
    assert heard == ["jobs.settled"]
    assert "failed at the event 'jobs.settled'" in caplog.text


def test_two_of_them_know_nothing_of_each_other() -> None:
    one, other = Telemetry(), Telemetry()
    heard: list[str] = []
    one.subscribe(lambda name, _: heard.append(name))
    other.event("jobs.settled")
    assert heard == []


def test_it_knows_whether_anybody_listens() -> None:
    telemetry = Telemetry()
    known = [telemetry.heard]
    leave = [telemetry.subscribe(lambda *_: None), telemetry.subscribe(lambda *_: None)]
    for unsubscribe in leave:
        known.append(telemetry.heard)
        unsubscribe()
    assert [*known, telemetry.heard] == [False, True, True, False]
