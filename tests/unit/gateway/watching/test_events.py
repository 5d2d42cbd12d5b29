"""A job's life is streamed as the WHATWG's event streams have it, and as JSON lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from headrace.app import App
from headrace.gateway import Gateway
from headrace.gateway.watching import events
from headrace.gateway.watching.events import _Stream
from headrace.gateway.watching.lookout import Lookout
from headrace.record import State
from headrace.write import CancelJobs, PurgeJobs
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.steps import claim, engine_of, finish, report, settle, submit
from tests.unit.gateway.wired import Server, served
from tests.unit.waiting import until

Event = dict[str, Any]


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    """Yield events as a browser dispatches them (WHATWG HTML §9.2.6)."""
    event: Event = {}
    for line in lines:
        if not line:
            if "data" in event or event:
                yield event
            event = {}
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        event[field or "comment"] = json.loads(value) if field == "data" else value


@pytest.fixture
def server(gateway: Gateway) -> Iterator[Server]:
    with served(gateway) as server:
        yield server


class Stream:
    """One stream of events, read one at a time."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._events = parsed(response.iter_lines())

    def next(self) -> Event:
        """Return the next event that is no comment."""
        return next(e for e in self._events if "comment" not in e and "event" in e)

    def comment(self) -> str:
        """Return the next comment."""
        return str(next(e["comment"] for e in self._events if "comment" in e))

    def names(self) -> list[str]:
        """Return the names of all that come."""
        return [e["event"] for e in self._events if "event" in e]


def opened(server: Server, job: str, **headers: str) -> Any:
    return httpx2.stream("GET", f"{server.url}/v1/jobs/{job}/events", headers=headers, timeout=20)


def test_a_life_is_streamed(app: App, server: Server) -> None:
    job = server.call(submit(app))
    with opened(server, job) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        stream = Stream(response)
        snapshot = stream.next()
        assert (snapshot["event"], snapshot["data"]["state"]) == ("snapshot", "ready")
        lease = server.call(claim(app))
        running = stream.next()
        assert (running["event"], running["data"]["state"]) == ("state", "running")
        server.call(report(app, job, 1))
        progress = stream.next()
        assert (progress["event"], progress["data"]["done"]) == ("progress", 1)
        server.call(settle(app, lease))
        while (event := stream.next())["event"] == "progress":
            pass
        assert (event["event"], event["data"]["state"]) == ("state", "succeeded")
        result = stream.next()
        assert (result["event"], result["data"]["result"]) == ("result", 3)
        end = stream.next()
        assert end["event"] == "end"
        assert stream.names() == []
        assert len({e["id"] for e in (snapshot, running, progress, event, end)}) == 5
    again = httpx2.get(f"{server.url}/v1/jobs/{job}/events", headers={"Last-Event-ID": end["id"]})
    assert (again.status_code, again.content) == (204, b"")


def test_a_stream_goes_on_where_it_was_left(app: App, server: Server) -> None:
    job = server.call(submit(app))
    with opened(server, job) as response:
        last = Stream(response).next()["id"]
    lease = server.call(claim(app))
    with opened(server, job, **{"Last-Event-ID": last}) as response:
        stream = Stream(response)
        event = stream.next()
        assert (event["event"], event["data"]["state"]) == ("snapshot", "running")
    server.call(settle(app, lease))
    with opened(server, job, **{"Last-Event-ID": event["id"]}) as response:
        assert Stream(response).names() == ["snapshot", "result", "end"]


def test_nothing_is_told_twice(app: App, server: Server) -> None:
    job = server.call(submit(app))
    with opened(server, job) as response:
        last = Stream(response).next()["id"]
    with opened(server, job, **{"Last-Event-ID": last}) as response:
        stream = Stream(response)
        until(lambda: server.gateway._feed._watched[job].sight, "the first look")
        server.call(finish(app))
        assert stream.names() == ["state", "result", "end"]


@pytest.mark.parametrize("last", ["x y", "é", "a" * 29, "-"])
def test_a_strange_cursor_begins_anew(app: App, client: Client, last: str) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app)
        await finish(app)
        headers = [(b"Last-Event-ID", last.encode())]
        answer = await http.get(f"/v1/jobs/{job}/events", headers=headers)
        names = [
            event["event"] for event in parsed(iter(answer.text.split("\n"))) if "data" in event
        ]
        assert names == ["reset", "snapshot", "result", "end"]

    client.run(talk)


def test_the_end_tells_why(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app)
        await finish(app, State.DEAD)
        answer = await http.get(f"/v1/jobs/{job}/events")
        assert answer.text.startswith("retry: 3000\n\n")
        found = [event for event in parsed(iter(answer.text.split("\n"))) if "data" in event]
        assert [event["event"] for event in found] == ["snapshot", "result", "end"]
        failure = {"cause": "attempts-spent", "type": "E", "message": "no"}
        assert found[1]["data"] == {"state": "dead", "result": None, "failure": failure}
        assert "secret" not in answer.text

    client.run(talk)


@pytest.mark.parametrize("accept", ["application/jsonl", "application/x-ndjson, */*;q=0.1"])
def test_lines_of_json_are_streamed(app: App, client: Client, accept: str) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app)
        await finish(app)
        answer = await http.get(f"/v1/jobs/{job}/events", headers={"Accept": accept})
        assert answer.headers["content-type"] == accept.split(",", maxsplit=1)[0]
        events = [json.loads(line) for line in answer.text.splitlines()]
        assert [event["event"] for event in events] == ["snapshot", "result", "end"]
        assert events[1]["data"]["result"] == 3

    client.run(talk)


def test_another_form_is_not_to_be_had(app: App, client: Client) -> None:
    job = client.run(lambda _: submit(app))
    answer = client("GET", f"/v1/jobs/{job}/events", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["title"]) == (406, "The answer has no such form")


def test_a_quiet_stream_shows_that_it_lives(
    app: App, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.02)
    job = server.call(submit(app))
    with opened(server, job) as response:
        stream = Stream(response)
        stream.next()
        assert stream.comment() == "ping"
        assert stream.comment() == "ping"


def test_who_leaves_is_forgotten(app: App, server: Server) -> None:
    job = server.call(submit(app))
    with opened(server, job) as response:
        stream = Stream(response)
        stream.next()
        assert server.gateway.waiting == 1
    until(lambda: server.gateway.waiting == 0, "the stream to be let go of")
    assert not server.gateway._feed._watched


def test_a_job_that_is_pruned_ends_its_stream(app: App, server: Server) -> None:
    job = server.call(submit(app))

    async def purge() -> None:
        engine = await engine_of(app)
        await engine.commit([CancelJobs((job,)), PurgeJobs((job,))])

    with opened(server, job) as response:
        stream = Stream(response)
        stream.next()
        server.call(purge())
        assert (stream.next(), stream.names()) == ({"event": "end", "data": {"state": None}}, [])


def test_a_stream_ends_when_the_gateway_stops(app: App, gateway: Gateway) -> None:
    with served(gateway) as server:
        job = server.call(submit(app))
        with opened(server, job) as response:
            stream = Stream(response)
            stream.next()
            server.should_exit = True
            event = stream.next()
            assert event["event"] == "shutdown"
            assert 3000 <= int(event["retry"]) <= 6000
            assert stream.names() == []


def test_a_slow_reader_gets_the_newest(app: App, gateway: Gateway) -> None:
    """Of what came while it did not read, only the last counts."""

    async def main() -> list[bytes]:
        job = await submit(app)
        lease = await claim(app)
        lookout = Lookout(gateway._feed, job)
        with lookout:
            stream = _Stream(lookout, "", "text/event-stream", 3000)._events()
            frames = [await anext(stream) for _ in range(2)]
            for done in range(1, 10):
                await report(app, job, done)
                await asyncio.sleep(0.03)
            while lookout.sight is None or lookout.sight.progress is None:  # noqa: ASYNC110 - it comes soon
                await asyncio.sleep(0.01)
            await settle(app, lease)
            while not lookout.sight.ended:  # noqa: ASYNC110 - it comes soon
                await asyncio.sleep(0.01)
            frames += [frame async for frame in stream]
        await gateway._feed.close()
        return frames

    names = [frame.split(b"event: ")[1].split(b"\n")[0] for frame in asyncio.run(main())[1:]]
    assert names == [b"snapshot", b"state", b"result", b"end"]
