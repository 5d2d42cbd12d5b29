"""Queues are told of, paused, and measured for autoscalers."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import App, QueueLimits
from headrace.gateway import Gateway
from headrace.gateway.door.keys import create
from headrace.write import LimitQueue
from tests.unit.gateway.asking import Asker


def submit(app: App, count: int = 1, **options: Any) -> None:
    """Submit jobs of `paint`."""
    task = app.registry.get("paint").using(**options)
    app.submit([task.call(f"{number}") for number in range(count)])


def claim(app: App, count: int = 1) -> int:
    """Let a worker claim jobs, and tell how many it got."""
    return len(app.engine.lease(["images"], limit=count, seconds=60.0, holder="me").wait(5))


def test_a_queue(ask: Asker, studio: App) -> None:
    submit(studio, 3)
    claim(studio)
    studio.engine.apply(LimitQueue("images", QueueLimits(max_depth=9))).wait(5)
    told = ask("GET", "/v1/queues/images").json()
    assert (told["queue"], told["ready"], told["running"], told["max_depth"]) == ("images", 2, 1, 9)
    assert told["paused"] is False


def test_all_queues_those_of_tasks_without_jobs_as_well(ask: Asker, studio: App) -> None:
    submit(studio)
    submit(studio, queue="posters")
    told = ask("GET", "/v1/queues").json()["queues"]
    assert [(queue["queue"], queue["ready"]) for queue in told] == [
        ("default", 0),
        ("images", 1),
        ("posters", 1),
    ]


def test_pause_and_resume(ask: Asker, studio: App) -> None:
    submit(studio)
    assert ask("POST", "/v1/queues/images/pause").json()["paused"] is True
    assert claim(studio) == 0
    assert ask("POST", "/v1/queues/images/resume").json()["paused"] is False
    assert claim(studio) == 1


@pytest.mark.parametrize("name", ["unknown", "..", "a b", "%00", "a'; drop table jobs", "x" * 300])
def test_a_misspelt_queue_is_not_made(ask: Asker, studio: App, name: str) -> None:
    assert ask("POST", f"/v1/queues/{name}/pause").status_code in (400, 404)
    assert ask("GET", f"/v1/queues/{name}").status_code in (400, 404)
    assert studio.engine.depth().wait(5) == ()


def test_a_strange_queue_is_not_known(studio: App) -> None:
    terms = {"scopes": ("queues:read", "queues:write"), "queues": ("images",)}
    key, token = create(studio.ids, studio.clock.now(), **terms)
    studio.engine.apply(key.put()).wait(5)
    ask = Asker(Gateway(studio), token)
    assert ask("GET", "/v1/queues/images").status_code == 200
    assert ask("GET", "/v1/queues/default").status_code == 404
    assert ask("POST", "/v1/queues/default/pause").status_code == 404
    assert [queue["queue"] for queue in ask("GET", "/v1/queues").json()["queues"]] == ["images"]


def test_autoscale_counts_what_runs_and_not_what_is_for_later(ask: Asker, studio: App) -> None:
    submit(studio, 5)
    submit(studio, delay=100)
    claim(studio, 2)
    told = ask("GET", "/v1/autoscale/images?slots=2").json()
    assert told == {
        "queue": "images",
        "backlog": 5,
        "ready": 3,
        "in_flight": 2,
        "rate": 0.0,
        "recommended": 3,
    }
    assert ask("GET", "/v1/autoscale/images").json()["recommended"] == 1  # 20 threads


def test_autoscale_of_a_paused_queue_keeps_those_that_run(ask: Asker, studio: App) -> None:
    submit(studio, 5)
    claim(studio, 2)
    ask("POST", "/v1/queues/images/pause")
    assert ask("GET", "/v1/autoscale/images").json()["backlog"] == 2


def test_autoscale_of_a_queue_before_its_first_job(ask: Asker) -> None:
    told = ask("GET", "/v1/autoscale/tomorrow").json()
    assert (told["backlog"], told["recommended"]) == (0, 0)
    assert ask("GET", "/v1/autoscale/no name").status_code == 422


@pytest.mark.parametrize("slots", ["0", "-1", "1.5", "many", "", "1000000", "9" * 5000, "²"])
def test_slots_that_make_no_sense(ask: Asker, slots: str) -> None:
    told = ask("GET", "/v1/autoscale/images", params={"slots": slots})
    assert told.status_code == 422
