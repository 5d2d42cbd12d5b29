"""A delivery arrives, or is tried again as the spec says, and never stands in another's way."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from headrace import App
from headrace.errors import InvalidOption
from headrace.ids import Ids
from headrace.node import Node
from headrace.order import Work
from headrace.record import Failure, Record, State
from headrace.testing import ManualClock
from headrace.testing.steps import PATIENCE, apply
from headrace.testing.worker import drain
from headrace.webhooks import Webhooks, delivery, event, verify
from headrace.webhooks.delivery import Deliveries
from headrace.webhooks.endpoint import Endpoint, SigningKey, rotated
from headrace.webhooks.endpoints import PREFIX, Endpoints
from headrace.webhooks.envelope import Content, envelope
from headrace.webhooks.signature import new_private_key, new_secret, public_key
from headrace.write import Put, Send
from tests.unit.waiting import until
from tests.unit.webhooks.receiver import Receiver, says

LOCAL = ["127.0.0.0/8"]
SECRET = new_secret(Ids())
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


@pytest.fixture
def app(clock: ManualClock) -> Iterator[App]:
    with App("memory:", clock=clock, ids=Ids(clock, seed=1), webhook_allow=LOCAL) as app:
        app.registry = Deliveries(app).registry()
        yield app


def register(app: App, url: str, **fields: Any) -> None:
    given: dict[str, Any] = {
        "id": "ep",
        "url": url,
        "keys": (SigningKey(SECRET),),
        "created_at": 0.0,
    } | fields
    apply(app.engine, Put(PREFIX + given["id"], msgspec.json.encode(Endpoint(**given))))


def registered(app: App, name: str = "ep") -> Endpoint:
    found = asyncio.run(Endpoints(app.engine, PATIENCE).get(name))
    assert found is not None
    return found[0]


def send(app: App, count: int = 1, trace: str | None = None, **whom: Any) -> list[str]:
    """Send deliveries, by default to the endpoint "ep"."""
    ids = app.ids.job_ids(count)
    whom = whom or {"endpoint": "ep"}
    for name in ids:
        told = event.ping("ep", f"event-{name}", app.clock.now())
        content = Content(event=told.id, body=told.body, **whom)
        apply(app.engine, Send((envelope(content, name, (), trace),)))
    return ids


def record(app: App, job_id: str) -> Record:
    return app.engine.get([job_id]).wait(PATIENCE)[job_id]


def failure(app: App, job_id: str) -> Failure:
    failed = record(app, job_id).failure
    assert failed is not None
    return failed


def test_it_arrives_signed(app: App, clock: ManualClock, receiver: Receiver) -> None:
    register(app, receiver.url)
    (name,) = send(app, trace=TRACE)
    drain(app)
    (came,) = receiver.received
    assert verify(came.body, came.headers, SECRET, clock=clock) == f"event-{name}"
    assert json.loads(came.body)["id"] == f"event-{name}"
    assert came.headers["content-type"] == "application/cloudevents+json"
    assert came.headers["traceparent"] == TRACE
    assert record(app, name).state is State.SUCCEEDED
    assert record(app, name).result == msgspec.Raw(b'{"status":200}')


def test_both_secrets_sign_while_one_is_changed(
    app: App, clock: ManualClock, receiver: Receiver
) -> None:
    new = new_secret(Ids())
    keys = rotated((SigningKey(SECRET),), new, clock.now(), 3600.0)
    register(app, receiver.url, keys=keys)
    send(app)
    drain(app)
    clock.advance(3601)
    send(app)
    drain(app)
    first, second = (came.headers["webhook-signature"].split(" ") for came in receiver.received)
    assert (len(first), len(second)) == (2, 1)
    for came in receiver.received:
        verify(came.body, came.headers, new, tolerance=1e9)
    verify(receiver.received[0].body, receiver.received[0].headers, SECRET, tolerance=1e9)


def test_a_callback_is_signed_by_its_tenants_keys(
    app: App, clock: ManualClock, receiver: Receiver
) -> None:
    private = new_private_key(Ids())
    keys = msgspec.json.encode((SigningKey(private),))
    apply(app.engine, Put("webhook-keys/acme", keys))
    send(app, url=receiver.url, tenant="acme")
    send(app, url=receiver.url)
    drain(app)
    first, second = receiver.received
    verify(first.body, first.headers, public_key(private), clock=clock)
    versions = [text.split(",")[0] for text in second.headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1a"], "keys are made at the first use"
    made, _ = asyncio.run(Endpoints(app.engine, PATIENCE).keys(None))
    verify(second.body, second.headers, made[0].text, clock=clock)


def test_the_schedule_is_that_of_the_spec(app: App, clock: ManualClock, receiver: Receiver) -> None:
    register(app, receiver.url)
    receiver.reply = says(500)
    (name,) = send(app)
    waits: list[float] = []
    drain(app)
    while record(app, name).state is State.SCHEDULED:
        run_at = record(app, name).run_at
        assert run_at is not None
        waits.append(run_at - clock.now())
        clock.advance(waits[-1] + 0.001)
        drain(app)
    minutes, hours = 60, 3600
    spec = [5, 5 * minutes, 30 * minutes, *(n * hours for n in (2, 5, 10, 14, 20, 24))]
    for wait, wanted in zip(waits, spec, strict=True):
        assert 0.9 * wanted <= wait <= 1.1 * wanted
    assert waits != spec, "they are spread"
    assert failure(app, name).cause == "attempts-spent"
    assert failure(app, name).message == "HTTP 500"
    assert len(receiver.received) == 10
    assert len({(came.headers["webhook-id"], came.body) for came in receiver.received}) == 1
    assert len({came.headers["webhook-timestamp"] for came in receiver.received}) == 10


@pytest.mark.parametrize("status", [300, 302, 400, 404, 429, 503])
def test_only_2xx_is_success(app: App, receiver: Receiver, status: int) -> None:
    register(app, receiver.url)
    receiver.reply = says(status, "Location: /other")
    (name,) = send(app)
    drain(app)
    assert record(app, name).state is State.SCHEDULED
    assert failure(app, name).message == f"HTTP {status}"
    receiver.reply = says(204)
    app.clock.advance(6)  # type: ignore[attr-defined] # it is a manual one
    drain(app)
    assert record(app, name).state is State.SUCCEEDED


def test_the_receiver_may_ask_for_more_time(
    app: App, clock: ManualClock, receiver: Receiver
) -> None:
    register(app, receiver.url)
    receiver.reply = says(429, "Retry-After: 3600")
    (name,) = send(app)
    drain(app)
    assert record(app, name).run_at == pytest.approx(clock.now() + 3600)


def test_410_switches_the_endpoint_off(app: App, receiver: Receiver) -> None:
    told: list[Any] = []
    app.telemetry.subscribe(lambda name, fields: told.append((name, dict(fields))))
    register(app, receiver.url)
    receiver.reply = says(410)
    first, second = send(app, 2)
    drain(app)
    assert record(app, first).state is State.DEAD
    assert record(app, second).state is State.CANCELLED
    assert not registered(app).enabled
    assert "410" in registered(app).disabled_because
    assert len(receiver.received) == 1
    assert [name for name, _ in told].count("webhook.disabled") == 1
    (callback,) = send(app, url=receiver.url)
    drain(app)
    assert record(app, callback).state is State.DEAD


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/", "http://localhost@127.0.0.1/", "https://10.0.0.1/"]
)
def test_a_blocked_destination_is_not_tried_again(app: App, url: str) -> None:
    (name,) = send(app, url=url)
    drain(app)
    assert record(app, name).state is State.DEAD
    assert failure(app, name).message.startswith("blocked-destination")


def test_an_endpoint_that_is_gone_is_told_nothing(app: App) -> None:
    (name,) = send(app)
    drain(app)
    assert record(app, name).state is State.CANCELLED


def test_five_days_of_failures_switch_it_off(
    app: App, clock: ManualClock, receiver: Receiver
) -> None:
    register(app, receiver.url)
    receiver.reply = says(500)
    send(app)
    drain(app)
    began = clock.now()
    assert registered(app).failing_since == began
    for _ in range(4):
        clock.advance(86_400)
        send(app)
        drain(app)
    assert registered(app).enabled
    assert registered(app).failing_since == began
    clock.advance(86_400)
    send(app)
    drain(app)
    assert not registered(app).enabled
    assert "five days" in registered(app).disabled_because


def test_one_success_ends_the_count(app: App, clock: ManualClock, receiver: Receiver) -> None:
    register(app, receiver.url)
    receiver.replies = [says(500)]
    send(app)
    drain(app)
    clock.advance(6)
    drain(app)
    assert registered(app).failing_since is None


def test_the_rate_is_kept(app: App, clock: ManualClock, receiver: Receiver) -> None:
    register(app, receiver.url, rate=0.5)
    names = send(app, 5)
    came = []
    for _ in range(12):
        drain(app)
        came.append(len(receiver.received))
        clock.advance(1)
    assert max(b - a for a, b in itertools.pairwise(came)) <= 1
    assert came[-1] == 5
    assert {record(app, name).attempt for name in names} == {1}, "waiting counts nothing"


def test_a_worker_without_the_extra_leaves_it_to_others(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "headrace.webhooks.sender", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    register(app, "https://example.com/")
    (name,) = send(app)
    drain(app)
    assert record(app, name).state is State.SCHEDULED
    assert record(app, name).attempt == 0
    assert "headrace[webhooks]" in caplog.text


def test_a_task_of_its_name_is_refused() -> None:
    other = App("memory:")

    @other.task(name="headrace.webhook")
    def mine() -> None: ...

    with pytest.raises(InvalidOption, match=r"headrace\.webhook"):
        Deliveries(other).registry()


# In a worker --------------------------------------------------------------------------------------


def test_a_worker_tells_by_itself_how_a_job_ended(receiver: Receiver) -> None:
    with App("memory:", webhook_allow=LOCAL) as app:

        @app.task
        def double(n: int) -> int:
            return 2 * n

        told = double.using(headers=Webhooks(app).callback(receiver.url))
        node = Node(app, Work(settings={"poll": 0.05}))
        node.start()
        try:
            job = told.submit(21)
            until(lambda: receiver.received, "a webhook")
        finally:
            node.stop()
        content = json.loads(receiver.received[0].body)
        assert content["type"] == "headrace.job.succeeded"
        assert (content["data"]["id"], content["data"]["result"]) == (job.id, 42)


def test_a_receiver_that_hangs_keeps_nobody_waiting() -> None:
    async def hang(_: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    with (
        Receiver(reply=hang) as dead,
        Receiver() as well,
        App("memory:", webhook_allow=LOCAL, concurrency=8, grace=0.1) as app,
    ):
        register(app, dead.url, id="dead", concurrency=2)
        register(app, well.url, id="well")
        send(app, 20, endpoint="dead")
        names = send(app, 20, endpoint="well")
        node = Node(app, Work(settings={"poll": 0.05}))
        node.start()
        try:
            until(lambda: len(well.received) == 20, "the deliveries to who is well")
            assert dead.most_open == 2
        finally:
            node.stop()
        done = [record(app, name).state for name in names]
        assert done == [State.SUCCEEDED] * 20


def test_two_make_the_same_keys(app: App) -> None:
    store = Endpoints(app.engine, PATIENCE)

    async def story() -> None:
        made = await asyncio.gather(*(delivery.callback_keys(app, store, "acme") for _ in range(5)))
        assert len(set(made)) == 1

    asyncio.run(story())
