"""An endpoint answers with what a function returns."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from headrace.gateway.handover.endpoint import Endpoint, Told
from tests.unit.gateway.arriving import arriving


def test_it_answers_in_json() -> None:
    async def answer(request: Request) -> Response:
        return Told({"path": request.url.path}, 202, [(b"etag", b'"1"')])

    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    request = arriving(path="/v1/jobs")
    asyncio.run(Endpoint(answer)(request.scope, request.receive, send))
    start, body = said
    assert (start["status"], body["body"]) == (202, b'{"path":"/v1/jobs"}')
    assert dict(start["headers"]) == {
        b"content-type": b"application/json",
        b"content-length": b"19",
        b"etag": b'"1"',
    }
