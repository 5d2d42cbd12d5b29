"""Endpoint: what answers the requests of one route, where every microsecond counts.

Starlette wraps functions in what finds handlers of exceptions, which is the guard's work here; and
its responses take header fields as text. Both together cost as much as accepting a job.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.gateway.portrait import encode

Field = tuple[bytes, bytes]

_JSON = (b"content-type", b"application/json")


class Endpoint:
    """Answers requests with what a function returns.

    Args:
        answer: is the function.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)


class Told(Response):
    """An answer in JSON.

    Args:
        content: what it says.
        status: its status.
        fields: its header fields, besides those of its content.
    """

    def __init__(self, content: object, status: int, fields: list[Field]) -> None:
        self.body = encode(content)
        self.status_code = status
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), _JSON, *fields]
