"""The guard judges a request by its head, and answers for whatever goes wrong behind it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from headrace.errors import EngineClosed, QueueFull
from headrace.gateway.door.guard import FIELDS, Guard
from headrace.gateway.door.load import Load
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings
from tests.unit.gateway.arriving import arriving

SETTINGS = Settings(max_url=30, max_headers=60)


class Site:
    """Stands for what is guarded: it answers 200, or raises."""

    def __init__(self, error: Exception | None = None, *, late: bool = False) -> None:
        self._error = error
        self._late = late

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        if self._error is not None and not self._late:
            raise self._error
        scope[FIELDS].append((b"ratelimit", b"x"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        if self._error is not None:
            raise self._error


def said(site: Site, **scope: Any) -> list[Message]:
    """Return what is said to one request."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    request = arriving(path="/v1/jobs")
    load = Load(SETTINGS)
    guard = Guard(site, SETTINGS, load)
    asyncio.run(guard({**request.scope, **scope}, request.receive, send))
    assert load.handled == 0
    return messages


def problem(messages: list[Message]) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.json.decode(messages[1]["body"])
    assert content["status"] == messages[0]["status"]
    return content


def test_what_is_right_passes_with_the_fields_that_were_gathered() -> None:
    start, _ = said(Site())
    assert (start["status"], start["headers"]) == (200, [(b"ratelimit", b"x")])


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({"raw_path": b"/" + b"x" * 30}, 414),
        ({"query_string": b"x" * 30}, 414),
        ({"raw_path": b"/%ff"}, 400),
        ({"raw_path": b"/%00"}, 400),
        ({"raw_path": b"/%0a"}, 400),
        ({"headers": []}, 400),
        ({"headers": [(b"host", b"a"), (b"host", b"b")]}, 400),
        ({"headers": [(b"host", b"a"), (b"x", b"y" * 60)]}, 431),
    ],
)
def test_what_is_wrong_with_a_head_is_told(scope: dict[str, Any], status: int) -> None:
    assert problem(said(Site(), **scope))["status"] == status


def test_a_server_without_raw_paths_is_served() -> None:
    assert said(Site(), raw_path=None)[0]["status"] == 200


def test_a_request_over_the_limit_is_turned_away_and_a_probe_is_not() -> None:
    load = Load(Settings(max_requests=1))
    load.handled = 1
    guard = Guard(Site(), Settings(), load)
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for path in ("/v1/jobs", "/livez"):
        request = arriving(path=path)
        asyncio.run(guard(request.scope, request.receive, send))
    assert statuses == [503, 200]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Problem("conflict", "no"), 409, "conflict"),
        (HTTPException(404), 404, "not-found"),
        (HTTPException(405, headers={"Allow": "GET"}), 405, "method-not-allowed"),
        (HTTPException(418), 400, "malformed-request"),
        (QueueFull("full", "mail", 7.2), 503, "queue-full"),
        (EngineClosed("secret"), 503, "engine-unavailable"),
    ],
)
def test_errors_become_problems(error: Exception, status: int, kind: str) -> None:
    content = problem(said(Site(error)))
    assert content["status"] == status
    assert content["type"] == f"/v1/problems/{kind}"
    assert "secret" not in str(content)


def test_what_nobody_expected_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "headrace"):
        content = problem(said(Site(ZeroDivisionError("secret"))))
    assert content["status"] == 500
    assert "secret" not in str(content)
    assert "secret" in caplog.text


def test_a_client_that_left_is_nothing_to_log(caplog: pytest.LogCaptureFixture) -> None:
    said(Site(ClientDisconnect()))
    assert not caplog.records


def test_an_answer_that_has_begun_is_not_answered_again() -> None:
    with pytest.raises(ZeroDivisionError):
        said(Site(ZeroDivisionError(), late=True))


def test_a_websocket_is_denied_as_far_as_the_server_can() -> None:
    wrong: dict[str, Any] = {"type": "websocket", "headers": []}
    assert said(Site(), **wrong) == [{"type": "websocket.close", "code": 1013}]
    denial = said(Site(), **wrong, extensions={"websocket.http.response": {}})
    assert denial[0]["type"] == "websocket.http.response.start"
    assert denial[0]["status"] == 400
