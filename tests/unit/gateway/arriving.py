"""Requests made by hand, for tests of what reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import Message

GONE: Message = {"type": "http.disconnect"}


def part(content: bytes, *, more: bool = False) -> Message:
    """Return a part of a body, as a server passes it on."""
    return {"type": "http.request", "body": content, "more_body": more}


def arriving(
    *messages: Message,
    fields: Sequence[tuple[bytes, bytes]] = (),
    path: str = "/v1/tasks/add",
    query: bytes = b"",
) -> Request:
    """Return a request whose body arrives in these messages; after them nothing comes any more."""
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost"), *fields],
    }
    return Request(scope, receive)
