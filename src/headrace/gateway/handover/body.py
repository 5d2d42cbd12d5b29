"""Body: what a request carries: of the right type, not too large, and there in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings

JSON = "application/json"
JSON_LINES = ("application/jsonl", "application/x-ndjson")

Head = dict[bytes, bytes]
"""Header fields by name, in lower case; of those that come twice, the last."""

_PLAIN = b"identity"
_DIGITS = 18


def media_type(head: Head, *allowed: str) -> str:
    """Return the type of a request's body (RFC 9110 §8.3), in lower case and without parameters.

    Args:
        head: the request's header fields.
        allowed: the types that are read.

    Raises:
        Problem: it has another type, or an encoding or charset that is not read (415).
    """
    given = head.get(b"content-type", b"").decode("latin-1")
    if head.get(b"content-encoding", _PLAIN).lower() != _PLAIN:
        detail = "send the body as it is, without a Content-Encoding"
        raise Problem("unsupported-media-type", detail, {"Accept-Encoding": "identity"})
    if given in allowed:
        return given
    kind, *parameters = [part.strip().lower() for part in given.split(";")]
    charsets = {part.removeprefix("charset=").strip('"') for part in parameters if part}
    if kind not in allowed or not charsets <= {"utf-8"}:
        wanted = " or ".join(allowed)
        detail = f"the Content-Type must be {wanted}, in UTF-8; it is {given[:100] or 'missing'}"
        raise Problem("unsupported-media-type", detail, {"Accept": ", ".join(allowed)})
    return kind


async def whole(request: Request, head: Head, settings: Settings) -> bytes:
    """Return a body.

    Args:
        request: carries it.
        head: its header fields.
        settings: the limits.

    Raises:
        Problem: it is too large (413), or does not arrive in time (408).
        ClientDisconnect: the client is gone.
    """
    arrival = Arrival(request, head, settings.max_body, settings)
    parts = [await arrival.part()]
    while arrival.more:
        parts.append(await arrival.part())
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def lines(request: Request, head: Head, settings: Settings) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a body as they arrive, without those that are empty.

    A line is as large as a body may be, all of them as `max_stream` says.

    Args:
        request: carries it.
        head: its header fields.
        settings: the limits.

    Raises:
        Problem: it is too large (413), or does not arrive in time (408).
        ClientDisconnect: the client is gone.
    """
    arrival = Arrival(request, head, settings.max_stream, settings)
    rest = b""
    while arrival.more:
        *ended, rest = (rest + await arrival.part()).split(b"\n")
        for line in ended:
            if text := line.strip():
                yield text
        if len(rest) > settings.max_body:
            raise arrival.too_large("a line", settings.max_body)
    if rest := rest.strip():
        yield rest


class Arrival:
    """A body as it arrives: each `max_body` of it has `body_timeout` to do so.

    Args:
        request: carries it.
        head: its header fields.
        limit: bytes that it may have.
        settings: the other limits.

    Attributes:
        more: whether it is not there yet.

    Raises:
        Problem: it says itself that it is too large (413): it is not even asked for.
    """

    def __init__(self, request: Request, head: Head, limit: int, settings: Settings) -> None:
        self.more: bool = True
        self._request = request
        self._limit = limit
        self._settings = settings
        self._received = 0
        self._late: asyncio.Task[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        length = head.get(b"content-length", b"")
        if len(length) > _DIGITS or (length.isdigit() and int(length) > limit):
            raise self.too_large("the body", limit)

    async def part(self) -> bytes:
        """Return what comes next.

        Raises:
            Problem: the body gets too large (413), or does not arrive in time (408).
            ClientDisconnect: the client is gone.
        """
        pieces = 1 + self._received // self._settings.max_body
        until = self._began + pieces * self._settings.body_timeout
        # A timer alone: `asyncio.timeout` costs twice as much, and once per request.
        timer = self._loop.call_at(until, self._give_up, asyncio.current_task())
        try:
            message = await self._request.receive()
        except asyncio.CancelledError:
            if self._late is None or self._late.uncancel():
                raise
            detail = f"the body did not arrive within {self._settings.body_timeout:g} s"
            raise Problem("request-timeout", detail, self._close()) from None
        finally:
            timer.cancel()
        return self._content(message)

    def _content(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        self._received += len(part)
        if self._received > self._limit:
            raise self.too_large("the body", self._limit)
        return part

    def too_large(self, what: str, limit: int) -> Problem:
        """Return what is said of a body, or a part of it, that is too large."""
        detail = f"{what} is too large; the limit is {limit} bytes"
        return Problem("payload-too-large", detail, self._close(), limit=limit)

    def _close(self) -> dict[str, str]:
        """Let go of a connection on which the rest would still come (RFC 9112 §9.6)."""
        http_1 = self._request.scope["http_version"].startswith("1")
        return {"Connection": "close"} if http_1 else {}

    def _give_up(self, task: asyncio.Task[Any] | None) -> None:
        if task is not None:
            self._late = task
            task.cancel()
