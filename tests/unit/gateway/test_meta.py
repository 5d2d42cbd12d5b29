"""A client is told what it needs to know before it hands work over."""

from __future__ import annotations

from importlib.metadata import version

from headrace import App
from headrace.gateway import Gateway
from headrace.gateway.door.keys import create
from tests.unit.gateway.asking import Asker


def test_meta(ask: Asker) -> None:
    told = ask("GET", "/v1/meta").json()
    assert told["version"] == version("headrace")
    assert told["time"].endswith("Z")
    assert told["limits"]["max_body"] == 1024 * 1024
    assert told["limits"]["max_arguments"] == 256 * 1024
    assert told["retention"] == {"succeeded": 604_800.0, "dead": 2_592_000.0}
    assert told["idempotency"] == 86_400.0
    assert told["capabilities"]["durable"] == "never"


def test_it_is_nothing_for_strangers(studio: App) -> None:
    assert Asker(Gateway(studio))("GET", "/v1/meta").status_code == 401


def test_tasks(ask: Asker) -> None:
    paint, sign = ask("GET", "/v1/tasks").json()["tasks"]
    assert paint == {
        "task": "paint",
        "queue": "images",
        "description": "Paint something.",
        "links": {"call": "/v1/tasks/paint"},
    }
    assert (sign["task"], sign["description"]) == ("sign", None)


def test_tasks_of_strange_queues_are_not_told(studio: App) -> None:
    terms = {"scopes": ("jobs:submit",), "queues": ("images",)}
    key, token = create(studio.ids, studio.clock.now(), **terms)
    studio.engine.apply(key.put()).wait(5)
    told = Asker(Gateway(studio), token)("GET", "/v1/tasks").json()
    assert [task["task"] for task in told["tasks"]] == ["paint"]
