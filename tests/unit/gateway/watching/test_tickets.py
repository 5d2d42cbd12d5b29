"""A ticket lets its caller in once, and only for some seconds."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from headrace.app import App
from headrace.gateway import Caller, Gateway, Settings
from headrace.gateway.watching import tickets
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.steps import engine_of, finish, submit
from tests.unit.gateway.test_jobs import of
from tests.unit.gateway.watching.test_sockets import admit

KEY = {"Authorization": "Bearer good"}


@pytest.fixture
def client(app: App) -> Client:
    """Give a client of a gateway that wants keys."""
    return Client(Gateway(app, Settings(), admit=admit))


def test_a_ticket_is_good_once(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app, tags=("tenant:acme",))
        await finish(app)
        path = f"/v1/jobs/{job}/events"
        assert of(await http.get(path)) == (401, "unauthenticated")
        given = await http.post("/v1/tickets", headers=KEY)
        assert (given.status_code, given.headers["cache-control"]) == (201, "no-store")
        ticket = {"ticket": given.json()["ticket"]}
        assert (await http.get(path, params=ticket)).status_code == 200
        again = await http.get(path, params=ticket)
        assert of(again) == (401, "unauthenticated")
        assert again.headers["www-authenticate"] == "Bearer"

    client.run(talk)


def test_of_many_who_show_it_one_is_let_in(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app, tags=("tenant:acme",))
        await finish(app)
        ticket = {"ticket": (await http.post("/v1/tickets", headers=KEY)).json()["ticket"]}
        asked = [http.get(f"/v1/jobs/{job}/events", params=ticket) for _ in range(10)]
        codes = sorted([answer.status_code for answer in await asyncio.gather(*asked)])
        assert codes == [200] + [401] * 9

    client.run(talk)


def test_a_ticket_is_its_callers(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app, tags=("tenant:bravo",))
        ticket = {"ticket": (await http.post("/v1/tickets", headers=KEY)).json()["ticket"]}
        assert of(await http.get(f"/v1/jobs/{job}/events", params=ticket)) == (404, "not-found")

    client.run(talk)


def test_a_ticket_does_not_last(app: App, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tickets.LIFETIME == 30
    monkeypatch.setattr(tickets, "LIFETIME", 0.01)

    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app, tags=("tenant:acme",))
        ticket = {"ticket": (await http.post("/v1/tickets", headers=KEY)).json()["ticket"]}
        await asyncio.sleep(0.02)
        answer = await http.get(f"/v1/jobs/{job}/events", params=ticket)
        assert of(answer) == (401, "unauthenticated")

    client.run(talk)


def test_nobody_finds_one_in_the_store(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        ticket = (await http.post("/v1/tickets", headers=KEY)).json()["ticket"]
        assert len(ticket) == 43
        (entry,) = await (await engine_of(app)).scan(tickets.PREFIX)
        assert ticket not in entry.key + repr(entry.value)

    client.run(talk)


@pytest.mark.parametrize("ticket", ["", "x", "x" * 5000, "é", "\x00"])
def test_what_is_no_ticket_is_refused(app: App, client: Client, ticket: str) -> None:
    job = client.run(lambda _: submit(app, tags=("tenant:acme",)))
    answer = client("GET", f"/v1/jobs/{job}/events", params={"ticket": ticket})
    assert of(answer) == (401, "unauthenticated")


def test_giving_one_needs_the_scope(app: App) -> None:
    async def submitter(_: Any) -> Caller:
        return Caller(name="s", scopes=frozenset({"jobs:submit"}))

    client = Client(Gateway(app, Settings(), admit=submitter))
    assert of(client("POST", "/v1/tickets")) == (403, "forbidden")
