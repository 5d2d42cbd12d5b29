"""A job is told of, waited for, cancelled and tried again, as RFC 9110 and RFC 7240 have it."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import httpx2
import msgspec
import pytest

from headrace.app import App
from headrace.gateway import Caller, Gateway, Settings
from headrace.message import Retention
from headrace.record import State
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.steps import claim, engine_of, finish, report, settle, submit

UNKNOWN = "018f3c5e-7a10-7000-8000-000000000000"


def of(problem: httpx2.Response) -> tuple[int, str]:
    """Return the status and kind of a problem."""
    assert problem.headers["content-type"] == "application/problem+json"
    return problem.status_code, problem.json()["type"].rsplit("/")[-1]


def test_a_job_is_told_of_through_its_life(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        ready = await http.get(path)
        assert (ready.status_code, ready.json()["state"]) == (200, "ready")
        assert ready.headers["retry-after"] == "1"
        assert ready.headers["cache-control"] == "no-cache, private"
        assert ready.headers["vary"] == "Prefer"
        lease = await claim(app)
        await report(app, lease.job_id, 3)
        running = await http.get(path)
        assert running.json()["progress"] == {"done": 3.0, "total": 10.0, "note": "on"}
        await settle(app, lease)
        done = await http.get(path)
        assert (done.json()["state"], done.json()["result"]) == ("succeeded", 3)
        assert done.json()["progress"] is None
        assert "retry-after" not in done.headers
        assert len({r.headers["etag"] for r in (ready, running, done)}) == 3

    client.run(talk)


def test_what_a_client_has_is_not_sent_again(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        etag = (await http.get(path)).headers["etag"]
        for field in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            same = await http.get(path, headers={"If-None-Match": field})
            assert (same.status_code, same.content) == (304, b"")
            assert same.headers["etag"] == etag
            assert same.headers["retry-after"] == "1"
        assert (await http.get(path, headers={"If-None-Match": '"x"'})).status_code == 200
        await finish(app)
        assert (await http.get(path, headers={"If-None-Match": etag})).status_code == 200

    client.run(talk)


@pytest.mark.parametrize("job", [UNKNOWN, "x", "1 OR 1=1", "..%2Fx", UNKNOWN.upper(), "é"])
@pytest.mark.parametrize("rest", ["", "/result", "/events"])
def test_what_is_unknown_is_not_found(client: Client, job: str, rest: str) -> None:
    assert of(client("GET", f"/v1/jobs/{job}{rest}")) == (404, "not-found")


def test_a_strangers_job_is_as_unknown(app: App) -> None:
    tenants = {"a": "acme", "b": "bravo"}

    async def admit(request: Any) -> Caller:
        scopes = frozenset({"jobs:read", "jobs:write", "jobs:submit"})
        name = request.headers["x-who"]
        return Caller(name=name, tenant=tenants[name], scopes=scopes, queues=("default",))

    client = Client(Gateway(app, Settings(), admit=admit))

    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app, tags=("tenant:acme",))
        other = await submit(app, "add", tags=("tenant:acme",), queue="boxes")
        ask = functools.partial(http.request, headers={"x-who": "b"})
        assert (await http.get(f"/v1/jobs/{job}", headers={"x-who": "a"})).status_code == 200
        assert (await http.get(f"/v1/jobs/{other}", headers={"x-who": "a"})).status_code == 404
        for method, rest in (
            ("GET", ""),
            ("GET", "/result"),
            ("GET", "/events"),
            ("POST", "/cancel"),
            ("POST", "/retry"),
        ):
            answer = await ask(method, f"/v1/jobs/{job}{rest}")
            unknown = await ask(method, f"/v1/jobs/{UNKNOWN}{rest}")
            assert of(answer) == (404, "not-found")
            assert answer.text.replace(job, "") == unknown.text.replace(UNKNOWN, "")

    client.run(talk)


@pytest.mark.parametrize("how", [{"params": {"wait": "20"}}, {"headers": {"Prefer": "wait=20"}}])
def test_a_long_poll_is_answered_when_the_job_has_ended(
    app: App, client: Client, how: dict[str, Any]
) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        asked = asyncio.create_task(http.get(path, **how))
        await asyncio.sleep(0.05)
        lease = await claim(app)
        await asyncio.sleep(0.05)
        assert not asked.done()
        await settle(app, lease)
        answer = await asked
        assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
        assert answer.headers.get("preference-applied") == ("wait=20" if "headers" in how else None)

    client.run(talk)


def test_a_long_poll_is_answered_when_the_job_is_another_one(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        etag = (await http.get(path)).headers["etag"]
        states = []
        lease = None
        for step in range(4):
            headers = {"If-None-Match": etag}
            asked = asyncio.create_task(http.get(f"{path}?wait=20", headers=headers))
            await asyncio.sleep(0.05)
            if step == 0:
                lease = await claim(app)
            elif lease is not None and step < 3:
                await report(app, lease.job_id, step)
            elif lease is not None:
                await settle(app, lease)
            answer = await asked
            etag = answer.headers["etag"]
            states.append((answer.json()["state"], (answer.json()["progress"] or {}).get("done")))
        assert states == [("running", None), ("running", 1), ("running", 2), ("succeeded", None)]

    client.run(talk)


def test_a_long_poll_ends_in_time(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        first = await http.get(f"{path}?wait=0.05")
        assert (first.status_code, first.json()["state"]) == (200, "ready")
        headers = {"If-None-Match": first.headers["etag"]}
        assert (await http.get(f"{path}?wait=0.05", headers=headers)).status_code == 304

    client.run(talk)


@pytest.mark.parametrize("wait", ["x", "-1", "1e3", "nan", "9" * 5000])
def test_a_wait_that_is_none_is_refused(app: App, client: Client, wait: str) -> None:
    job = client.run(lambda _: submit(app))
    assert of(client("GET", f"/v1/jobs/{job}", params={"wait": wait})) == (422, "validation-failed")


def test_a_preference_that_is_none_is_passed_over(app: App, client: Client) -> None:
    job = client.run(lambda _: submit(app))
    answer = client("GET", f"/v1/jobs/{job}", headers={"Prefer": "wait=soon, wait"})
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


def test_a_wait_is_no_longer_than_the_limit(app: App) -> None:
    client = Client(Gateway(app, Settings(anonymous=True, wait_limit=0.05, wait_default=0.01)))
    job = client.run(lambda _: submit(app))
    answer = client("GET", f"/v1/jobs/{job}", headers={"Prefer": "wait=60"})
    assert answer.headers["preference-applied"] == "wait=0.05"
    assert client("GET", f"/v1/jobs/{job}?wait=").status_code == 200


def test_too_many_do_not_wait(app: App) -> None:
    client = Client(Gateway(app, Settings(anonymous=True, max_waiters=1)))

    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}?wait=20"
        first = asyncio.create_task(http.get(path))
        await asyncio.sleep(0.05)
        refused = await http.get(path)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        await finish(app)
        assert (await first).json()["state"] == "succeeded"
        assert (await http.get(path)).status_code == 200

    client.run(talk)


def test_who_waits_is_answered_when_the_gateway_stops(app: App, gateway: Gateway) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}?wait=20"
        asked = asyncio.create_task(http.get(path))
        await asyncio.sleep(0.05)
        gateway.drain()
        assert (await asked).json()["state"] == "ready"
        assert of(await http.get(path)) == (503, "draining")

    Client(gateway).run(talk)


def test_a_result_is_what_the_task_returned(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}/result"
        early = await http.get(path)
        assert of(early) == (409, "job-not-finished")
        assert early.json()["state"] == "ready"
        assert early.headers["retry-after"] == "1"
        await finish(app)
        answer = await http.get(path)
        assert (answer.status_code, answer.content) == (200, b"3")
        assert answer.headers["content-type"] == "application/json"
        headers = {"If-None-Match": answer.headers["etag"]}
        assert (await http.get(path, headers=headers)).status_code == 304

    client.run(talk)


def test_a_result_that_is_large_is_only_there(app: App) -> None:
    client = Client(Gateway(app, Settings(anonymous=True, inline_result=1)))

    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        await settle(app, await claim(app), result=msgspec.Raw(b"[1,2]"))
        assert (await http.get(path)).json()["result"] is None
        assert (await http.get(f"{path}/result")).json() == [1, 2]

    client.run(talk)


def test_a_job_that_failed_has_no_result(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        await finish(app, State.DEAD)
        answer = await http.get(f"{path}/result")
        assert of(answer) == (409, "job-failed")
        assert answer.json()["failure"] == {
            "cause": "attempts-spent",
            "type": "E",
            "message": "no",
        }
        assert "secret" not in answer.text + (await http.get(path)).text

    client.run(talk)


def test_a_result_past_its_retention_is_gone(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        job = await submit(app, retention=Retention(succeeded=0))
        await finish(app)
        answer = await http.get(f"/v1/jobs/{job}/result")
        assert of(answer) == (410, "expired")
        assert answer.json()["kept_until"]
        await (await engine_of(app)).maintain()
        assert of(await http.get(f"/v1/jobs/{job}/result")) == (404, "not-found")

    client.run(talk)


def test_a_job_is_cancelled(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        path = f"/v1/jobs/{await submit(app)}"
        answer = await http.post(f"{path}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
        assert answer.headers["location"] == path
        again = await http.post(f"{path}/cancel")
        assert of(again) == (409, "job-terminal")
        assert again.json()["state"] == "cancelled"
        running = f"/v1/jobs/{await submit(app)}"
        await claim(app)
        for _ in range(2):
            answer = await http.post(f"{running}/cancel")
            assert (answer.status_code, answer.json()["state"]) == (202, "running")
            assert answer.json()["cancel_asked"] is True

    client.run(talk)


def test_a_job_is_tried_again(app: App, client: Client) -> None:
    async def talk(http: httpx2.AsyncClient) -> None:
        dead = f"/v1/jobs/{await submit(app, unique_key='u')}"
        early = await http.post(f"{dead}/retry")
        assert of(early) == (409, "conflict")
        await finish(app, State.DEAD)
        rival = await submit(app, unique_key="u")
        refused = await http.post(f"{dead}/retry")
        assert of(refused) == (409, "duplicate-job")
        assert refused.json()["job_id"] == rival
        await finish(app)
        answer = await http.post(f"{dead}/retry")
        assert (answer.status_code, answer.json()["state"]) == (202, "ready")
        assert of(await http.post(f"/v1/jobs/{rival}/retry")) == (409, "job-terminal")
        await finish(app)
        later = f"/v1/jobs/{await submit(app, delay=600)}"
        assert (await http.get(later)).headers["retry-after"] == "30"
        answer = await http.post(f"{later}/retry")
        assert (answer.status_code, answer.json()["state"]) == (202, "ready")

    client.run(talk)


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_changing_needs_its_scope(app: App, verb: str) -> None:
    async def admit(_: Any) -> Caller:
        return Caller(name="reader", scopes=frozenset({"jobs:read"}))

    client = Client(Gateway(app, Settings(), admit=admit))
    job = client.run(lambda _: submit(app))
    assert client("GET", f"/v1/jobs/{job}").status_code == 200
    assert of(client("POST", f"/v1/jobs/{job}/{verb}")) == (403, "forbidden")
    assert client("GET", f"/v1/jobs/{job}/{verb}").status_code == 405
