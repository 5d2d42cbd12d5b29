"""Deliveries are shown to whom they are for, and made again on demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from headrace.app import App
from headrace.gateway.portrait import moment
from headrace.gateway.webhooks import deliveries as module
from headrace.message import Message
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import claim, commit, settle
from headrace.testing.worker import drain
from headrace.webhooks import interest
from headrace.webhooks.delivery import Deliveries
from headrace.webhooks.dispatcher import Dispatcher
from headrace.webhooks.envelope import QUEUE
from headrace.webhooks.interest import CALLBACK
from headrace.write import Send
from tests.unit.gateway.registering import DELIVERIES, ENDPOINTS, Ask, asker
from tests.unit.webhooks.receiver import Receiver, says


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock) -> Iterator[App]:
    with App("memory:", clock=clock, webhook_allow=["127.0.0.0/8"]) as app:
        yield app


@pytest.fixture
def ask(app: App) -> Ask:
    ask = asker(app)
    app.registry = Deliveries(app).registry()  # as in a worker: `drain` delivers
    return ask


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


def register(ask: Ask, receiver: Receiver, who: str = "acme") -> str:
    answer = ask(who, "POST", ENDPOINTS, json={"url": receiver.url})
    assert answer.status_code == 201, answer.text
    name: str = answer.json()["id"]
    return name


def finish(app: App, *, tenant: str = "acme", queue: str = "mail", callback: str = "") -> str:
    """Let a job end, and its deliveries be sent; return its id."""
    job_id = app.ids.job_id()
    message = Message(
        v=1, id=job_id, task="noop", body=msgspec.Raw(b"{}"), queue=queue,
        tags=(f"tenant:{tenant}",), headers={CALLBACK: callback} if callback else {},
    )  # fmt: skip
    commit(app.engine, Send((message,)), interest.of(message))
    (lease,) = claim(app.engine, queues=[queue])
    settle(app.engine, lease)
    Dispatcher(app, app.engine).look()
    return job_id


def listed(ask: Ask, who: str = "acme", **query: Any) -> list[dict[str, Any]]:
    answer = ask(who, "GET", DELIVERIES, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


def test_a_delivery_shows_what_became_of_it(
    app: App, ask: Ask, clock: ManualClock, receiver: Receiver
) -> None:
    mine = register(ask, receiver)
    receiver.replies = [says(503, body=b"secret of the receiver")]
    job = finish(app)
    drain(app)
    (told,) = listed(ask, endpoint=mine)
    assert {name: told[name] for name in ("endpoint", "job", "state", "attempt", "status")} == {
        "endpoint": mine, "job": job, "state": "scheduled", "attempt": 1, "status": 503,
    }  # fmt: skip
    assert told["type"] == "headrace.job.succeeded"
    assert told["next_try"] is not None
    assert told["reason"] == "HTTP 503"
    assert "secret" not in str(told)
    clock.advance(6)
    drain(app)
    told = ask("acme", "GET", told["links"]["self"]).json()
    assert (told["state"], told["attempt"], told["status"]) == ("succeeded", 2, 200)
    assert told["next_try"] is None
    assert [(each["number"], each["status"]) for each in told["history"]] == [(1, 503)]


def test_everybody_sees_their_own(app: App, ask: Ask, receiver: Receiver) -> None:
    ours, theirs = register(ask, receiver, "acme"), register(ask, receiver, "other")
    job = finish(app, callback=receiver.url)
    finish(app, tenant="other")
    assert len(listed(ask)) == 2
    assert {each["endpoint"] for each in listed(ask)} == {ours, None}
    assert [each["endpoint"] for each in listed(ask, "other")] == [theirs]
    assert len(listed(ask, "operator")) == 3
    assert len(listed(ask, job=job)) == 2
    name = listed(ask, endpoint=ours)[0]["id"]
    for path in (f"{DELIVERIES}/{name}", f"{DELIVERIES}/nobody", f"{DELIVERIES}/{job}"):
        assert ask("other", "GET", path).status_code == 404
        assert ask("other", "POST", f"{path}/redeliver").status_code == 404
        assert ask("reader", "GET", path).status_code == 403
    assert ask("other", "GET", DELIVERIES, params={"job": job}).status_code == 404


def test_a_key_for_some_queues_sees_no_others(app: App, ask: Ask, receiver: Receiver) -> None:
    mine, all_of_it = register(ask, receiver, "acme-mail"), register(ask, receiver, "acme")
    finish(app, queue="mail")
    finish(app, queue="pay")
    assert len(listed(ask, "acme-mail", endpoint=mine)) == 1
    assert len(listed(ask, endpoint=all_of_it)) == 2
    assert ask("acme-mail", "GET", DELIVERIES).status_code == 403
    assert ask("acme-mail", "GET", DELIVERIES, params={"endpoint": all_of_it}).status_code == 404
    name = listed(ask, endpoint=all_of_it)[0]["id"]
    assert ask("acme-mail", "GET", f"{DELIVERIES}/{name}").status_code == 404


def test_pages(app: App, ask: Ask, receiver: Receiver) -> None:
    register(ask, receiver)
    for _ in range(5):
        finish(app)
    seen, token = [], ""
    while True:
        answer = ask("acme", "GET", DELIVERIES, params={"page_size": 2, "page_token": token}).json()
        seen += [each["id"] for each in answer["deliveries"]]
        if (token := answer["next_page_token"]) is None:
            break
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize(
    "query",
    [
        {"page_size": "0"},
        {"page_size": "x"},
        {"page_token": "x"},
        {"state": "done"},
        {"order": "1"},
    ],
)
def test_a_query_that_makes_no_sense(ask: Ask, query: dict[str, str]) -> None:
    assert ask("acme", "GET", DELIVERIES, params=query).status_code == 422


def test_one_is_made_again(app: App, ask: Ask, receiver: Receiver) -> None:
    register(ask, receiver)
    finish(app)
    place = f"{DELIVERIES}/{listed(ask)[0]['id']}"
    drain(app)
    answer = ask("acme", "POST", f"{place}/redeliver")
    assert answer.status_code == 202
    assert answer.headers["location"] != place
    drain(app)
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert len(listed(ask)) == 2


def test_one_that_waits_or_is_dead_goes_on(app: App, ask: Ask, receiver: Receiver) -> None:
    register(ask, receiver)
    receiver.reply = says(500)
    finish(app)
    place = f"{DELIVERIES}/{listed(ask)[0]['id']}"
    assert ask("acme", "POST", f"{place}/redeliver").status_code == 409, "it is about to begin"
    for _ in range(9):
        drain(app)
        assert ask("acme", "POST", f"{place}/redeliver").status_code == 202
    drain(app)
    assert ask("acme", "GET", place).json()["state"] == "dead"
    receiver.reply = says(200)
    assert ask("acme", "POST", f"{place}/redeliver").headers["location"] == place
    drain(app)
    assert ask("acme", "GET", place).json()["state"] == "succeeded"
    assert len(receiver.received) == 11


def test_a_stretch_of_time_is_made_again(
    app: App, ask: Ask, clock: ManualClock, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = register(ask, receiver), register(ask, receiver)
    start = clock.now()
    for _ in range(4):
        finish(app)
        clock.advance(60)
    for lease in claim(app.engine, 100, queues=[QUEUE]):
        settle(app.engine, lease, State.DEAD)

    def again(**body: Any) -> Any:
        return ask("acme", "POST", f"{ENDPOINTS}/{mine}/redeliver", json=body)

    def at(seconds: float) -> str:
        text = moment(start + seconds)
        assert text is not None
        return text

    assert again(since=at(30), until=at(150)).json() == {"redelivered": 2, "more": False}
    assert len(listed(ask, state="dead", endpoint=mine)) == 2
    monkeypatch.setattr(module, "_RANGE_LIMIT", 1)
    assert again(since=at(0)).json() == {"redelivered": 1, "more": True}
    assert again(since=at(0)).json() == {"redelivered": 1, "more": False}
    assert again(since=at(0)).json() == {"redelivered": 0, "more": False}
    assert len(listed(ask, state="dead", endpoint=other)) == 4
    for wrong in ({}, {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"sinse": at(0)}):
        assert again(**wrong).status_code == 422


def test_nobody_submits_deliveries_of_their_own(app: App) -> None:
    ask = asker(app)
    forged = content_of("http://127.0.0.1/")
    for path, body in (
        ("/v1/tasks/headrace.webhook", forged),
        ("/v1/jobs", {"task": "headrace.webhook", "arguments": forged}),
    ):
        answer = ask("operator", "POST", path, json=body)
        assert answer.status_code in (404, 422)
        assert answer.json()["type"].endswith("unknown-task")


def content_of(url: str) -> dict[str, Any]:
    return {"content": {"event": "e", "body": "{}", "url": url}}
