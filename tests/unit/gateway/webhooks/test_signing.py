"""Callbacks of jobs are signed by keys that their receivers can ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from headrace.app import App
from headrace.node import Node
from headrace.order import Work
from headrace.webhooks import verify
from tests.unit.gateway.registering import Ask, asker
from tests.unit.waiting import until
from tests.unit.webhooks.receiver import Receiver

KEYS = "/v1/webhooks/keys"


@pytest.fixture
def app() -> Iterator[App]:
    with App("memory:", webhook_allow=["127.0.0.0/8"]) as app:

        @app.task
        def add(left: int, right: int) -> int:
            return left + right

        yield app


@pytest.fixture
def ask(app: App) -> Ask:
    return asker(app)


def test_each_tenant_has_its_own(ask: Ask) -> None:
    ours = ask("acme", "GET", KEYS).json()["keys"]
    assert ours == ask("acme", "GET", KEYS).json()["keys"]
    assert ours != ask("other", "GET", KEYS).json()["keys"]
    assert [key["until"] for key in ours] == [None]
    assert ask("reader", "GET", KEYS).status_code == 403


def test_after_a_change_the_old_ones_hold_for_a_while(ask: Ask) -> None:
    (old,) = ask("acme", "GET", KEYS).json()["keys"]
    told = ask("acme", "POST", f"{KEYS}/rotate-secret").json()
    assert told["secret"].startswith("whsec_")
    new, before = told["keys"]
    assert new["until"] is None
    assert before["public_key"] == old["public_key"]
    assert before["until"] is not None
    assert "secret" not in ask("acme", "GET", KEYS).json()


def test_a_job_that_was_handed_over_calls_back(app: App, ask: Ask) -> None:
    secret = ask("acme", "POST", f"{KEYS}/rotate-secret").json()["secret"]
    (public, *_) = (key["public_key"] for key in ask("acme", "GET", KEYS).json()["keys"])
    with Receiver() as receiver:
        node = Node(app, Work(settings={"poll": 0.05}))
        node.start()
        try:
            order = {
                "task": "add",
                "arguments": {"left": 1, "right": 2},
                "options": {"callback": receiver.url, "tags": ["sum"]},
            }
            answer = ask("acme", "POST", "/v1/jobs", json=order)
            assert answer.status_code == 202, answer.text
            until(lambda: receiver.received, "the callback")
        finally:
            node.stop()
        (came,) = receiver.received
    assert verify(came.body, came.headers, secret) == verify(came.body, came.headers, public)
    event = json.loads(came.body)
    assert event["data"]["id"] == answer.json()["id"]
    assert (event["data"]["result"], event["data"]["tags"]) == (3, ["sum"])


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "https://localhost@10.0.0.1/", "x", ""])
def test_a_callback_that_leads_inside_is_refused(ask: Ask, url: str) -> None:
    order = {"task": "add", "arguments": {"left": 1, "right": 2}, "options": {"callback": url}}
    answer = ask("acme", "POST", "/v1/jobs", json=order)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/options/callback"
    query = {"callback": url}
    answer = ask("acme", "POST", "/v1/tasks/add", params=query, json=order["arguments"])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "callback"
    forged = {**order, "options": {"headers": {"webhook-callback": url}}}
    answer = ask("acme", "POST", "/v1/jobs", json=forged)
    assert answer.json()["errors"][0]["pointer"] == "/options/headers"
