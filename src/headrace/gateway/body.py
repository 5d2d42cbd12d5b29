"""Body: what a request carries: of the right type, not too large, and there in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import ClientDisconnect, Request

from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings

JSON = "application/json"
JSON_LINES = ("application/jsonl", "application/x-ndjson")


def media_type(request: Request, *allowed: str) -> str:
    """Return the type of a request's body (RFC 9110 §8.3), in lower case and without parameters.

    Args:
        request: carries it.
        allowed: the types that are read.

    Raises:
        Problem: it has another type, or an encoding or charset that is not read (415).
    """
    fields = request.headers
    given = fields.get("content-type", "")
    if "content-encoding" in fields and fields["content-encoding"].lower() != "identity":
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


async def whole(request: Request, settings: Settings) -> bytes:
    """Return a body.

    Raises:
        Problem: it is too large (413), or does not arrive in time (408).
        ClientDisconnect: the client is gone.
    """
    _announced(request, settings.max_body)
    parts = [part async for part in _parts(request, settings.max_body, settings)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def lines(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a body as they arrive, without those that are empty.

    A line is as large as a body may be, all of them as `max_stream` says.

    Raises:
        Problem: it is too large (413), or does not arrive in time (408).
        ClientDisconnect: the client is gone.
    """
    _announced(request, settings.max_stream)
    rest = b""
    async for part in _parts(request, settings.max_stream, settings):
        *whole_lines, rest = (rest + part).split(b"\n")
        for line in whole_lines:
            if text := line.strip():
                yield text
        if len(rest) > settings.max_body:
            raise _too_large(request, settings.max_body, "a line")
    if rest := rest.strip():
        yield rest


async def _parts(request: Request, limit: int, settings: Settings) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a body; each `max_body` of it has `body_timeout` to arrive."""
    received = 0
    until = asyncio.get_running_loop().time() + settings.body_timeout
    more = True
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await request.receive()
        except TimeoutError:
            detail = f"the body did not arrive within {settings.body_timeout:g} s"
            raise Problem("request-timeout", detail, _close(request)) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        more = message.get("more_body", False)
        if received // settings.max_body < (received + len(part)) // settings.max_body:
            until += settings.body_timeout
        received += len(part)
        if received > limit:
            raise _too_large(request, limit)
        if part or not more:
            yield part


def _announced(request: Request, limit: int) -> None:
    """Refuse a body that says itself that it is too large, before it is read or asked for."""
    length = request.headers.get("content-length", "")
    if len(length) > len(str(limit)) or (length.isdecimal() and int(length) > limit):
        raise _too_large(request, limit)


def _too_large(request: Request, limit: int, what: str = "the body") -> Problem:
    detail = f"{what} is too large; the limit is {limit} bytes"
    return Problem("payload-too-large", detail, _close(request), limit=limit)


def _close(request: Request) -> dict[str, str]:
    """Let go of a connection on which the rest of a body would still come (RFC 9112 §9.6)."""
    return {"Connection": "close"} if request.scope["http_version"].startswith("1") else {}
