"""Jobs are listed newest first, a page at a time, and nobody sees another's."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import httpx2
import pytest

from headrace.app import App
from headrace.gateway import Caller, Gateway, Settings, listing
from headrace.gateway.caller import ANONYMOUS
from headrace.record import Filter, State
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.steps import finish, submit
from tests.unit.gateway.test_jobs import of


async def listed(http: httpx2.AsyncClient, query: str = "", **headers: str) -> list[str]:
    """Return the ids of all pages."""
    ids: list[str] = []
    token = ""
    while True:
        page = await http.get(f"/v1/jobs?{query}&page_token={token}", headers=headers)
        assert page.status_code == 200, page.text
        ids += [job["id"] for job in page.json()["jobs"]]
        if (token := page.json()["next_page_token"]) is None:
            return ids


def test_the_newest_is_first(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        assert (await http.get("/v1/jobs")).json() == {"jobs": [], "next_page_token": None}
        jobs = [await submit(app) for _ in range(7)]
        assert await listed(http) == jobs[::-1]
        for size in (1, 3, 7, 8):
            assert await listed(http, f"page_size={size}") == jobs[::-1]
        (job, *_) = (await http.get("/v1/jobs")).json()["jobs"]
        assert job["links"]["self"] == f"/v1/jobs/{jobs[-1]}"
        assert "result" not in job

    client.run(talk)


def test_filters_select(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        dead = await submit(app, "divide", tags=("a",))
        await finish(app, State.DEAD)
        done = await submit(app, tags=("a", "b"))
        await finish(app)
        waits = await submit(app, queue="mail", tags=("b",))
        later = await submit(app, delay=60)
        for query, jobs in {
            "state=dead": [dead],
            "state=dead&state=succeeded": [done, dead],
            "queue=mail": [waits],
            "queue=mail&queue=default": [later, waits, done, dead],
            "task=divide": [dead],
            "tag=a": [done, dead],
            "tag=a&tag=b": [done],
            "cause=attempts-spent": [dead],
            "state=scheduled": [later],
            "queue=none": [],
        }.items():
            assert await listed(http, query) == jobs, query

    client.run(talk)


@pytest.mark.parametrize(
    "query",
    [
        "state=gone",
        "state=<svg onload=x>",
        "cause=x",
        "cause=error&cause=retry",
        "status=dead",
        "tag=tenant:acme",
        "tag=trace:1",
        "page_size=0",
        "page_size=-1",
        "page_size=x",
        "page_token=x",
        "page_token=%C3%A9",
        "page_token=AAAA",
        "&".join(["tag=t"] * 33),
    ],
)
def test_what_is_no_filter_is_refused(client: Client, query: str) -> None:
    answer = client("GET", f"/v1/jobs?{query}")
    assert of(answer) == (422, "validation-failed")
    assert answer.json()["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]


def test_a_page_that_is_too_large_is_made_smaller(client: Client) -> None:
    assert client("GET", "/v1/jobs?page_size=999999999").status_code == 200


def test_a_token_belongs_to_its_list(app: App) -> None:
    async def admit(request: Any) -> Caller:
        scopes = frozenset({"jobs:read"})
        return Caller(name=request.headers["x-who"], scopes=scopes)

    async def talk(http: httpx2.AsyncClient) -> None:
        for _ in range(3):
            await submit(app)
        first = await http.get("/v1/jobs?page_size=1", headers={"x-who": "a"})
        token = first.json()["next_page_token"]
        for query, who, status in [
            ("page_size=2", "a", 200),
            ("state=ready", "a", 422),
            ("", "b", 422),
        ]:
            path = f"/v1/jobs?{query}&page_token={token}"
            assert (await http.get(path, headers={"x-who": who})).status_code == status
        for at in range(len(token)):
            swapped = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            path = f"/v1/jobs?page_token={swapped}"
            assert (await http.get(path, headers={"x-who": "a"})).status_code == 422

    Client(Gateway(app, Settings(), admit=admit)).run(talk)


def test_everybody_lists_its_own(app: App) -> None:
    keys = {
        "acme": Caller(name="1", tenant="acme", scopes=frozenset({"jobs:read"})),
        "mail": Caller(name="2", scopes=frozenset({"jobs:read"}), queues=("mai*",)),
        "none": Caller(name="3", scopes=frozenset({"jobs:read"}), queues=("x",)),
        "submitter": Caller(name="4", scopes=frozenset({"jobs:submit"})),
    }

    async def admit(request: Any) -> Caller:
        return keys[request.headers["x-who"]]

    async def talk(http: httpx2.AsyncClient) -> None:
        await submit(app)
        ours = await submit(app, tags=("tenant:acme",))
        mail = await submit(app, queue="mail", tags=("tenant:bravo",))
        assert await listed(http, **{"x-who": "acme"}) == [ours]
        assert await listed(http, **{"x-who": "mail"}) == [mail]
        assert await listed(http, "queue=default", **{"x-who": "mail"}) == []
        assert await listed(http, **{"x-who": "none"}) == []
        answer = await http.get("/v1/jobs", headers={"x-who": "submitter"})
        assert of(answer) == (403, "forbidden")

    Client(Gateway(app, Settings(), admit=admit)).run(talk)


def test_a_forged_token_is_refused(client: Client) -> None:
    place = b"\xff"
    mark = listing._mark(place, Filter(), ANONYMOUS)
    token = urlsafe_b64encode(mark + place).decode().rstrip("=")
    assert of(client("GET", f"/v1/jobs?page_token={token}")) == (422, "validation-failed")
