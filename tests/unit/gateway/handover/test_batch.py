"""Many calls in one request: all of them, or none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.app import App
from headrace.gateway import Settings
from tests.unit.gateway.conftest import Client

ONE = {"task": "add", "arguments": {"left": 1}}
BAD = {"task": "add", "arguments": {"left": "1"}}
LINES = {"content-type": "application/jsonl"}


@pytest.fixture
def settings() -> Settings:
    return Settings(anonymous=True, max_batch=3, max_keys=5)


def lines(*jobs: Any) -> bytes:
    return b"\n".join(map(msgspec.json.encode, jobs))


def count(app: App) -> int:
    return sum(status.ready for status in app.engine.depth().wait(5))


def test_a_document_is_accepted_in_order(client: Client, app: App) -> None:
    jobs = [ONE, {"task": "echo", "options": {"delay": 60}}, ONE]
    answer = client("POST", "/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 202
    told = answer.json()["jobs"]
    assert [job["task"] for job in told] == ["add", "echo", "add"]
    assert [job["state"] for job in told] == ["ready", "scheduled", "ready"]
    assert sorted(job["id"] for job in told) == [job["id"] for job in told]
    assert count(app) == 2


@pytest.mark.parametrize("kind", ["application/jsonl", "application/x-ndjson; charset=utf-8"])
def test_lines_are_accepted_in_order(client: Client, app: App, kind: str) -> None:
    content = lines(ONE, BAD | {"arguments": {"left": 2}}) + b"\n\n"
    answer = client("POST", "/v1/jobs/batch", content=content, headers={"content-type": kind})
    assert answer.status_code == 202
    assert len(answer.json()["jobs"]) == count(app) == 2


def test_lines_that_arrive_piece_by_piece_are_read(client: Client) -> None:
    text = lines(ONE, ONE)

    async def pieces() -> Any:
        for at in range(0, len(text), 7):
            yield text[at : at + 7]

    answer = client("POST", "/v1/jobs/batch", content=pieces(), headers=LINES)
    assert len(answer.json()["jobs"]) == 2


def test_one_that_does_not_fit_refuses_all(client: Client, app: App) -> None:
    answer = client("POST", "/v1/jobs/batch", json={"jobs": [BAD, ONE, {"task": "ad"}]})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "2 of 3 jobs do not fit; none was accepted"
    places = [(error["index"], error["pointer"]) for error in answer.json()["errors"]]
    assert places == [(0, "/jobs/0/arguments/left"), (2, "/jobs/2/task")]
    answer = client("POST", "/v1/jobs/batch", content=lines(ONE, BAD), headers=LINES)
    places = [(error["index"], error["pointer"]) for error in answer.json()["errors"]]
    assert places == [(1, "/arguments/left")]
    assert count(app) == 0


@pytest.mark.parametrize(
    ("content", "status", "index"),
    [
        (lines(ONE, ONE, ONE, ONE), 413, None),
        (lines(ONE) + b"\n{", 400, 1),
        (lines(ONE, {"task": "echo", "arguments": {"value": "x" * 300_000}}), 413, 1),
        (
            lines(ONE, {"task": "echo", "arguments": {"value": {str(n): 0 for n in range(9)}}}),
            413,
            1,
        ),
        (b"\n", 422, None),
    ],
)
def test_lines_that_are_too_much_or_wrong(
    client: Client, app: App, content: bytes, status: int, index: int | None
) -> None:
    answer = client("POST", "/v1/jobs/batch", content=content, headers=LINES)
    assert answer.status_code == status
    assert answer.json().get("index") == index
    assert count(app) == 0


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        ({"jobs": [ONE] * 4}, 413, "3 jobs at most"),
        ({"jobs": []}, 422, "at least one job"),
        ({"job": [ONE]}, 422, "did you mean jobs?"),
        ({"jobs": ONE}, 422, "expected `array`"),
        (
            {"jobs": [{"task": "echo", "arguments": {str(n): n for n in range(9)}}]},
            413,
            "limit is 5",
        ),
    ],
)
def test_documents_that_are_too_much_or_wrong(
    client: Client, content: Any, status: int, says: str
) -> None:
    answer = client("POST", "/v1/jobs/batch", json=content)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_a_batch_has_no_options_of_its_own(client: Client) -> None:
    answer = client("POST", "/v1/jobs/batch?priority=1", json={"jobs": [ONE]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "priority"


@pytest.mark.parametrize("headers", [LINES, {}])
def test_a_key_holds_for_all_of_them(client: Client, app: App, headers: dict[str, str]) -> None:
    content = lines(ONE, ONE) if headers else msgspec.json.encode({"jobs": [ONE, ONE]})
    headers = {"content-type": "application/json", "idempotency-key": "k"} | headers
    first = client("POST", "/v1/jobs/batch", content=content, headers=headers)
    again = client("POST", "/v1/jobs/batch", content=content, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    assert [job["id"] for job in again.json()["jobs"]] == [
        job["id"] for job in first.json()["jobs"]
    ]
    other = client("POST", "/v1/jobs/batch", content=content.replace(b"1", b"2"), headers=headers)
    assert other.status_code == 422
    assert count(app) == 2
