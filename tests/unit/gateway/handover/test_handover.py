"""Work is handed over: accepted durably, answered with 202, and once for each key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import HTTPConnection

from headrace.app import App
from headrace.gateway import Caller, Gateway, Settings
from headrace.record import QueueLimits, State
from headrace.write import LimitQueue, PurgeJobs
from tests.unit.gateway.conftest import Client
from tests.unit.running import claim, run_all
from tests.unit.waiting import until

JSON = {"content-type": "application/json"}


def count(app: App) -> int:
    return sum(status.ready for status in app.engine.depth().wait(5))


def stored(app: App, job_id: str) -> Any:
    return app.engine.get([job_id]).wait(5)[job_id]


def test_a_call_is_accepted(client: Client, app: App) -> None:
    answer = client("POST", "/v1/tasks/add", json={"left": 1})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["task"], told["queue"]) == ("ready", "add", "default")
    assert answer.headers["location"] == f"/v1/jobs/{told['id']}" == told["links"]["self"]
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["etag"].startswith('"')
    assert "prefer" in answer.headers["vary"]
    assert stored(app, told["id"]).state is State.READY


def test_an_order_names_its_task_and_options(client: Client, app: App) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    order = {
        "task": "boxes.pack",
        "arguments": {"box": {"width": 1}},
        "options": {"run_at": later.isoformat(), "headers": {"a": "b"}, "retention": {"dead": 60}},
    }
    answer = client("POST", "/v1/jobs", json=order)
    assert answer.status_code == 202
    assert answer.json()["state"] == "scheduled"
    message = stored(app, answer.json()["id"]).message
    assert (message.queue, message.headers["a"], message.retention.dead) == ("boxes", "b", 60)


def test_options_of_a_call_are_in_the_query(client: Client, app: App) -> None:
    answer = client("POST", "/v1/tasks/add?queue=urgent&priority=9&tags=a,b", json={"left": 1})
    message = stored(app, answer.json()["id"]).message
    assert (message.queue, message.priority, message.tags) == ("urgent", 9, ("a", "b"))


def test_the_answer_comes_after_the_commit(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, committed = app.engine.commit, []

    def late(writes: Any, tx: Any = None) -> Any:
        reply = commit(writes, tx)
        reply.listen(lambda _: committed.append(len(writes)))
        return reply

    monkeypatch.setattr(app.engine, "commit", late)
    assert client("POST", "/v1/tasks/add", json={"left": 1}).status_code == 202
    assert committed == [1]


def test_a_path_below_where_it_is_mounted_is_told(gateway: Gateway) -> None:
    async def main() -> httpx2.Response:
        transport = httpx2.ASGITransport(gateway, root_path="/work")
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/work/v1/tasks/add", json={"left": 1})

    assert asyncio.run(main()).headers["location"].startswith("/work/v1/jobs/")


@pytest.mark.parametrize(
    ("path", "content", "status", "kind"),
    [
        ("/v1/tasks/ad", b"{}", 422, "unknown-task"),
        ("/v1/tasks/add?queue=a%20b", b'{"left": 1}', 422, "validation-failed"),
        ("/v1/tasks/add?priority=1&priority=1", b'{"left": 1}', 422, "validation-failed"),
        ("/v1/tasks/add", b"{", 400, "malformed-request"),
        ("/v1/tasks/add", b'{"left": 1.5}', 422, "validation-failed"),
        ("/v1/tasks/echo", b'{"value": "%b"}' % (b"x" * 300_000), 413, "payload-too-large"),
        ("/v1/tasks/echo", b'{"value": "%b"' % (b"x" * 300_000), 400, "malformed-request"),
        ("/v1/jobs", b'{"task": "ad"}', 422, "unknown-task"),
        ("/v1/jobs?priority=1", b'{"task": "add"}', 422, "validation-failed"),
        ("/v1/tasks", b"{}", 405, "method-not-allowed"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_accepted(
    client: Client, app: App, path: str, content: bytes, status: int, kind: str
) -> None:
    answer = client("POST", path, content=content, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/v1/problems/{kind}"
    assert count(app) == 0


def test_who_may_not_submit_is_told_before_anything_else(app: App) -> None:
    async def admit(_: HTTPConnection) -> Caller:
        return Caller(name="k1", scopes=frozenset({"jobs:read"}))

    client = Client(Gateway(app, admit=admit))
    for path in ("/v1/tasks/nothing", "/v1/jobs", "/v1/jobs/batch"):
        assert client("POST", path, content=b"{").status_code == 403
    assert Client(Gateway(app))("POST", "/v1/jobs", content=b"{").status_code == 401


def test_numbers_and_characters_arrive_as_they_were_sent(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/jobs.db")

    @app.task
    def echo(value: Any) -> Any:
        return value

    body = rb'{"value":[-0,1.0,1,1e2,"\u0000\ud83d\ude00",{"__proto__":"' + "ö".encode() + rb'"}]}'
    with app:
        client = Client(Gateway(app, Settings(anonymous=True)))
        answer = client("POST", "/v1/tasks/echo", content=body, headers=JSON)
        assert bytes(stored(app, answer.json()["id"]).message.body) == body


# Waiting ------------------------------------------------------------------------------------------


def test_a_client_that_waits_is_told_the_end(client: Client, app: App) -> None:
    async def wait(asks: httpx2.AsyncClient) -> httpx2.Response:
        headers = {"prefer": "respond-async, wait=30"}
        asked = asyncio.create_task(asks.post("/v1/tasks/add", json={"left": 1}, headers=headers))
        await asyncio.to_thread(until, lambda: run_all(app), "a job to run")
        return await asked

    answer = client.run(wait)
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["result"]) == ("succeeded", 1)
    assert answer.headers["preference-applied"] == "wait=30"
    assert "retry-after" not in answer.headers


def test_one_whose_job_fails_is_told_so_as_well(client: Client, app: App) -> None:
    async def wait(asks: httpx2.AsyncClient) -> httpx2.Response:
        asked = asyncio.create_task(
            asks.post("/v1/tasks/divide", json={"by": 0}, headers={"prefer": "wait=30"})
        )
        await asyncio.to_thread(until, lambda: run_all(app), "a job to run")
        return await asked

    answer = client.run(wait)
    assert (answer.status_code, answer.json()["state"]) == (200, "dead")


def test_a_client_that_cannot_wait_so_long_is_answered_with_202(app: App) -> None:
    client = Client(Gateway(app, Settings(anonymous=True, wait_limit=0.01)))
    answer = client("POST", "/v1/tasks/add", json={"left": 1}, headers={"prefer": "wait=30"})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


def test_who_would_not_wait_is_told_that_it_need_not(client: Client) -> None:
    headers = {"prefer": "respond-async"}
    answer = client("POST", "/v1/tasks/add", json={"left": 1}, headers=headers)
    assert answer.headers["preference-applied"] == "respond-async"


# Keys ---------------------------------------------------------------------------------------------


def keyed(client: Client, key: str = "k", path: str = "/v1/tasks/add", **more: Any) -> Any:
    content = more.pop("content", b'{"left": 1, "right": 2}')
    return client("POST", path, content=content, headers={**JSON, "idempotency-key": key, **more})


def test_a_request_that_is_sent_again_is_the_same_job_as_it_is_now(
    client: Client, app: App
) -> None:
    first = keyed(client)
    assert "idempotent-replayed" not in first.headers
    claim(app)
    again = keyed(client, '"k"', content=b'{ "right": 2, "left": 1 }')
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert (again.json()["id"], again.json()["state"]) == (first.json()["id"], "running")


def test_a_replay_may_wait_as_well(client: Client, app: App) -> None:
    keyed(client)
    run_all(app)
    again = keyed(client, prefer="wait=30")
    assert (again.status_code, again.json()["result"]) == (200, 3)
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("path", "content"),
    [("/v1/tasks/add", b'{"left": 2}'), ("/v1/tasks/add?priority=1", b'{"left": 1, "right": 2}')],
)
def test_another_request_with_the_key_is_refused(client: Client, path: str, content: bytes) -> None:
    keyed(client)
    other = keyed(client, path=path, content=content)
    assert other.status_code == 422
    assert other.json()["type"].endswith("/idempotency-key-reused")


def test_a_key_of_a_request_that_was_refused_is_free(client: Client) -> None:
    assert keyed(client, content=b'{"left": "1"}').status_code == 422
    assert keyed(client).status_code == 202


def test_a_key_that_is_forgotten_is_free(app: App) -> None:
    client = Client(Gateway(app, Settings(anonymous=True, idempotency=1e-6)))
    first, second = keyed(client), keyed(client)
    assert first.json()["id"] != second.json()["id"]


def test_a_job_that_is_no_longer_kept_is_not_made_again(client: Client, app: App) -> None:
    first = keyed(client)
    run_all(app)
    app.engine.apply(PurgeJobs((first.json()["id"],))).wait(5)
    again = keyed(client)
    assert again.status_code == 410
    assert again.json()["job_id"] == first.json()["id"]
    assert count(app) == 0


def test_a_hundred_at_once_make_one_job(client: Client, app: App) -> None:
    async def all_at_once(asks: httpx2.AsyncClient) -> list[httpx2.Response]:
        headers = {"idempotency-key": "k"}
        calls = [asks.post("/v1/tasks/add", json={"left": 1}, headers=headers) for _ in range(100)]
        return await asyncio.gather(*calls)

    answers = client.run(all_at_once)
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert all(a.headers["retry-after"] == "1" for a in answers if a.status_code == 409)
    assert count(app) == 1


def test_two_gateways_of_one_engine_make_one_job(tmp_path: Path) -> None:
    async def race(gateways: list[Gateway]) -> set[str]:
        headers = {"idempotency-key": "k"}
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(_post(gateway, headers))
                for gateway in gateways
                for _ in range(10)
            ]
        return {task.result().json().get("id", "") for task in asked} - {""}

    apps = [App(f"sqlite:///{tmp_path}/jobs.db") for _ in range(2)]
    for app in apps:
        app.task(name="double")(_double)
    with apps[0], apps[1]:
        gateways = [Gateway(app, Settings(anonymous=True)) for app in apps]
        assert len(asyncio.run(race(gateways))) == 1
        assert count(apps[0]) == 1


def _double(number: int = 1) -> int:
    return 2 * number


async def _post(gateway: Gateway, headers: dict[str, str]) -> httpx2.Response:
    transport = httpx2.ASGITransport(gateway)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post("/v1/tasks/double", json={}, headers=headers)


def test_callers_do_not_share_keys(app: App) -> None:
    async def admit(request: HTTPConnection) -> Caller:
        tenant = request.headers["authorization"]
        return Caller(name=tenant, tenant=tenant, scopes=frozenset({"admin"}))

    client = Client(Gateway(app, admit=admit))
    ids = {keyed(client, authorization=tenant).json()["id"] for tenant in ("a", "b", "a")}
    assert len(ids) == 2
    assert {stored(app, job).message.tags for job in ids} == {("tenant:a",), ("tenant:b",)}


# Slowing down -------------------------------------------------------------------------------------


def test_a_full_queue_says_when_to_come_again(client: Client, app: App) -> None:
    app.engine.apply(LimitQueue("default", QueueLimits(max_depth=1))).wait(5)
    first = keyed(client, "a")
    full = keyed(client, "b")
    assert (first.status_code, full.status_code) == (202, 503)
    assert full.json()["type"] == "/v1/problems/queue-full"
    assert int(full.headers["retry-after"]) >= 1
    assert keyed(client, "a").status_code == 202
    run_all(app)
    assert keyed(client, "b").status_code == 202


def test_a_unique_key_that_is_held_is_a_conflict(client: Client) -> None:
    first = client("POST", "/v1/tasks/add?unique_key=u", json={"left": 1})
    second = client("POST", "/v1/tasks/add?unique_key=u", json={"left": 2})
    assert second.status_code == 409
    assert second.json()["type"] == "/v1/problems/duplicate-job"
    assert second.json()["job_id"] == first.json()["id"]
    third = client("POST", "/v1/tasks/add?unique_key=u&on_conflict=replace", json={"left": 2})
    assert third.status_code == 202
