"""A client of a WebSocket is told of what it subscribed to, and of nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from headrace.app import App
from headrace.gateway import Caller, Gateway, Settings
from headrace.gateway.watching import newcomers, session
from headrace.record import Filter, State
from headrace.write import CancelJobs, PurgeJobs
from tests.unit.gateway.steps import claim, engine_of, finish, report, settle, submit
from tests.unit.gateway.watching.test_sockets import Raw, ended
from tests.unit.gateway.wired import Server, served
from tests.unit.waiting import until

Message = dict[str, Any]
UNKNOWN = "018f3c5e-7a10-7000-8000-000000000000"


async def admit(request: Any) -> Caller:
    """Admit everybody, as whom they say."""
    name = request.headers.get("x-who", "admin")
    if name == "admin":
        return Caller(name=name, scopes=frozenset({"admin"}))
    scopes = frozenset({"jobs:read"})
    return Caller(name=name, tenant=name, scopes=scopes, queues=("default", "mail"))


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    """Serve a gateway."""
    with served(Gateway(app, Settings(), admit=admit)) as server:
        yield server


class Talk:
    """One client of a WebSocket."""

    def __init__(self, server: Server, who: str = "admin") -> None:
        self._opening = connect(server.ws, additional_headers={"x-who": who})

    def __enter__(self) -> Self:
        self.connection: ClientConnection = self._opening.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._opening.__exit__(None, None, None)

    def say(self, op: str, **more: Any) -> None:
        """Send a message."""
        self.connection.send(json.dumps({"op": op, **more}))

    def hear(self, *kinds: str) -> Message:
        """Return the next message, which is to be of one of these types."""
        message: Message = json.loads(self.connection.recv(timeout=20))
        assert not kinds or message["type"] in kinds, message
        return message

    def until(self, kind: str) -> Message:
        """Return the next message of a type."""
        while (message := self.hear())["type"] != kind:
            pass
        return message

    def subscribe(self, **what: Any) -> Message:
        """Subscribe, and return the answer."""
        self.say("subscribe", **what)
        return self.until("subscribed")

    def closed(self) -> tuple[int, str]:
        """Return how the server ends the connection."""
        return ended(self.connection)


def test_a_job_is_told_of_to_its_end(app: App, server: Server) -> None:
    with Talk(server) as talk:
        job = server.call(submit(app))
        assert talk.subscribe(jobs=[job])["jobs"] == [job]
        snapshot = talk.hear("snapshot")
        assert (snapshot["job"]["id"], snapshot["job"]["state"]) == (job, "ready")
        lease = server.call(claim(app))
        assert talk.hear("state")["job"]["state"] == "running"
        server.call(report(app, job, 4))
        progress = talk.hear("progress")
        assert (progress["id"], progress["progress"]["done"]) == (job, 4)
        server.call(settle(app, lease))
        result = talk.until("result")
        assert (result["job"]["state"], result["job"]["result"]) == ("succeeded", 3)
        assert snapshot["cursor"] < progress["cursor"] <= result["cursor"]
    until(lambda: not server.gateway._feed._watched, "the job to be let go of")


def test_a_job_that_has_ended_is_told_of_once(app: App, server: Server) -> None:
    job = server.call(submit(app))
    server.call(finish(app, State.DEAD))
    with Talk(server) as talk:
        talk.subscribe(jobs=[job])
        result = talk.hear("result")["job"]
        assert (result["state"], result["failure"]["cause"]) == ("dead", "attempts-spent")
        talk.say("ping")
        assert talk.hear() == {"type": "pong"}


def test_what_is_unknown_or_a_strangers_is_the_same(app: App, server: Server) -> None:
    theirs = server.call(submit(app, tags=("tenant:bravo",)))
    elsewhere = server.call(submit(app, tags=("tenant:acme",), queue="boxes"))
    ours = server.call(submit(app, tags=("tenant:acme",)))
    with Talk(server, "acme") as talk:
        asked = [UNKNOWN, theirs, "no id", "*", elsewhere]
        talk.say("subscribe", jobs=[*asked, ours])
        problem = talk.hear("error")["problem"]
        assert (problem["status"], problem["jobs"]) == (404, asked)
        assert talk.hear("subscribed")["jobs"] == [ours]
        assert talk.hear("snapshot")["job"]["tags"] == []


def test_unsubscribing(app: App, server: Server) -> None:
    with Talk(server) as talk:
        job = server.call(submit(app, tags=("t",)))
        talk.subscribe(jobs=[job], tags=["t"], queues=["mail"])
        talk.until("snapshot")
        talk.say("unsubscribe", jobs=[job], tags=["t"], queues=["mail"])
        assert talk.until("unsubscribed")["tags"] == ["t"]
        server.call(finish(app))
        talk.say("ping")
        assert talk.hear() == {"type": "pong"}
        until(lambda: not server.gateway._feed._watched, "the job to be let go of")


@pytest.mark.parametrize("what", [{"tags": ["t"]}, {"queues": ["mail"]}])
def test_a_channel_brings_its_jobs(app: App, server: Server, what: dict[str, Any]) -> None:
    options: dict[str, Any] = {"tags": ("t",), "queue": "mail"}
    old = server.call(submit(app, **options))
    server.call(submit(app))
    with Talk(server) as talk, Talk(server) as late:
        talk.subscribe(**what)
        assert talk.hear("snapshot")["job"]["id"] == old
        new = server.call(submit(app, **options))
        assert talk.hear("snapshot")["job"]["id"] == new
        late.subscribe(**what)
        assert {late.hear("snapshot")["job"]["id"] for _ in range(2)} == {old, new}
        ended: set[str] = set()
        for _ in range(3):
            server.call(finish(app))
        for each in (talk, late):
            ended = {each.until("result")["job"]["id"] for _ in range(2)}
            assert ended == {old, new}
    until(lambda: not server.gateway._feed._newcomers.wanted, "the channel to be let go of")
    assert not server.gateway._feed._watched


def test_a_tenants_channel_has_its_jobs_alone(app: App, server: Server) -> None:
    with Talk(server, "acme") as talk, Talk(server) as admin:
        for each in (talk, admin):
            each.subscribe(tags=["t"])
        theirs = server.call(submit(app, tags=("t", "tenant:bravo")))
        elsewhere = server.call(submit(app, tags=("t", "tenant:acme"), queue="boxes"))
        ours = server.call(submit(app, tags=("t", "tenant:acme")))
        assert {admin.hear("snapshot")["job"]["id"] for _ in range(3)} == {theirs, elsewhere, ours}
        assert talk.hear("snapshot")["job"]["id"] == ours
        talk.say("ping")
        assert talk.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({"tags": ["tenant:bravo"]}, 422),
        ({"tags": ["trace:1"]}, 422),
        ({"tags": [""]}, 422),
        ({"queues": ["boxes"]}, 403),
        ({"queues": ["*"]}, 422),
        ({"queues": ["mail/#"]}, 422),
        ({"cursor": "x"}, 422),
        ({"cursor": "f" * 99}, 422),
        ({"jobs": "x"}, 400),
        ({"jobs": [1]}, 400),
        ({"prioritty": 1}, 400),
    ],
)
def test_what_cannot_be_subscribed_to(server: Server, what: dict[str, Any], status: int) -> None:
    with Talk(server, "acme") as talk:
        talk.say("subscribe", **what)
        assert talk.hear("error")["problem"]["status"] == status
        talk.say("ping")
        assert talk.hear() == {"type": "pong"}


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"op": 1}', '{"op": "x"}', "[" * 9000])
def test_what_is_no_order_is_answered(server: Server, text: str) -> None:
    with Talk(server) as talk:
        talk.connection.send(text)
        assert talk.hear("error")["problem"]["status"] == 400
        talk.say("pong")
        talk.say("ping")
        assert talk.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    "what",
    [
        {"jobs": [f"{UNKNOWN[:-4]}{n:04x}" for n in range(1001)]},
        {"tags": [str(n) for n in range(51)]},
    ],
    ids=["jobs", "tags"],
)
def test_too_much_is_refused(server: Server, what: dict[str, Any]) -> None:
    with Talk(server) as talk:
        talk.say("subscribe", **what)
        assert talk.closed()[0] == 4413


def test_too_many_messages_are_refused(server: Server) -> None:
    with Talk(server) as talk:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(10_000):
                talk.say("pong")
        assert talk.closed()[0] == 4429


def test_a_job_that_is_pruned_is_gone(app: App, server: Server) -> None:
    job = server.call(submit(app))

    async def purge() -> None:
        await (await engine_of(app)).commit([CancelJobs((job,)), PurgeJobs((job,))])

    with Talk(server) as talk:
        talk.subscribe(jobs=[job])
        talk.hear("snapshot")
        server.call(purge())
        assert talk.hear("gone")["id"] == job


def test_a_cursor_brings_what_ended_meanwhile(app: App, server: Server) -> None:
    with Talk(server) as talk:
        job = server.call(submit(app, tags=("t",)))
        talk.subscribe(tags=["t"])
        cursor = talk.hear("snapshot")["cursor"]
    server.call(finish(app))
    missed = server.call(submit(app, tags=("t",)))
    server.call(finish(app))
    waits = server.call(submit(app, tags=("t",)))
    with Talk(server) as talk:
        talk.subscribe(tags=["t"], cursor=cursor)
        told = [talk.hear("result", "snapshot")["job"]["id"] for _ in range(3)]
        assert set(told) == {job, missed, waits}
    with Talk(server) as talk:
        far = f"{int(cursor, 16) + 60_000:x}"
        talk.subscribe(tags=["t"], cursor=far)
        assert talk.hear("snapshot")["job"]["id"] == waits


def test_more_than_can_be_watched_is_said(
    app: App, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "MEMBERS_LIMIT", 2)
    jobs = [server.call(submit(app, tags=("t",))) for _ in range(3)]
    with Talk(server) as talk:
        talk.subscribe(tags=["t"])
        told = [talk.hear() for _ in range(3)]
        assert [m["job"]["id"] for m in told if m["type"] == "snapshot"] == jobs[1:]
        assert [m for m in told if m["type"] == "reset"] == [{"type": "reset", "tag": "t"}]


async def flood(app: App) -> None:
    """Make 20,000 events: too many for what kernels keep for a client that does not read."""
    task = app.registry.get("add").using(tags=("x" * 250,) * 8)
    engine = await engine_of(app)
    for _ in range(20):
        await app.asubmit([task.call(1) for _ in range(500)])
        ids = (await engine.find_ids(Filter(), limit=500)).ids
        await engine.apply(CancelJobs(ids))
        await asyncio.sleep(0.05)


def test_a_client_that_never_reads_is_cut_off(
    app: App, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_PATIENCE_SECONDS", 0.3)
    raw = Raw(server)
    raw.send(1, b'{"op": "subscribe", "queues": ["default"]}')
    until(lambda: server.gateway._feed._newcomers.wanted, "the subscription")
    try:
        server.call(flood(app))
        until(lambda: server.gateway.waiting == 0, "the slow client to be sent away")
        assert not server.gateway._feed._watched
    finally:
        raw.socket.close()


def test_a_client_that_reads_too_late_is_told_where_to_go_on(
    app: App, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_PATIENCE_SECONDS", 60.0)
    raw = Raw(server)
    raw.send(1, b'{"op": "subscribe", "queues": ["default"]}')
    until(lambda: server.gateway._feed._newcomers.wanted, "the subscription")
    (slow,) = server.gateway._feed._waiters
    assert isinstance(slow, session.Session)
    try:
        server.call(flood(app))
        server.call(flood(app))
        until(lambda: slow._ended, "the slow client to be sent away")
        assert (raw.code(), raw.reason) == (4408, slow._cursor)
    finally:
        raw.socket.close()


def test_what_is_newest_is_sent_last(app: App, server: Server) -> None:
    """So the cursor of a message is never newer than what still waits."""
    first, second = (server.call(submit(app)) for _ in range(2))

    async def look() -> list[str]:
        class Socket:
            scope: ClassVar = {"root_path": ""}
            sent: ClassVar[list[str]] = []

            async def send_text(self, text: str) -> None:
                self.sent.append(json.loads(text)["job"]["id"])

        gateway = server.gateway
        told = session.Session(Socket(), await admit(_Nobody()), gateway._desk, gateway._feed)  # type: ignore[arg-type] # as much of one as is used
        sights = await gateway._feed._ask(await engine_of(app), [first, second])
        for job_id in (first, second, first):
            told.tell(job_id, sights[job_id])
        await asyncio.sleep(0.05)
        return Socket.sent

    assert server.call(look()) == [second, first]


class _Nobody:
    headers: ClassVar[dict[str, str]] = {}
