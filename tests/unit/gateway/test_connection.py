"""A connection bounds what comes before a request is there, and around its content."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from headrace.gateway.connection import connections
from headrace.gateway.settings import Settings

SETTINGS = Settings(max_url=100, max_headers=200, body_timeout=0.2)
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with how much came; or, where nothing more comes, with nothing."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    text = f"{scope['method']} {size}".encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def told(talk: Talk) -> bytes:
    """Talk to a server of one connection, and return all that it said."""

    async def main() -> bytes:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(echo, http=connections(SETTINGS), lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            await talk(reader, writer)
            return await reader.read()
        finally:
            writer.close()
            server.should_exit = True
            await serving

    return asyncio.run(main())


def sends(*parts: bytes) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return talk


def test_requests_follow_one_another() -> None:
    one = HEAD + b"Content-Length: 2\r\n\r\n{}"
    last = HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\n[1]"
    said = told(sends(one, one[:40], one[40:], last))
    assert [said.count(text) for text in (b"POST 2", b"POST 3")] == [2, 1]


def test_chunks_of_some_size_pass() -> None:
    chunk = b"40\r\n" + b"x" * 64 + b"\r\n"
    head = CHUNKED.replace(b"Host", b"Connection: close\r\nHost")
    assert told(sends(head, *[chunk] * 20, b"0\r\n\r\n")).endswith(b"POST 1280")


@pytest.mark.parametrize(
    ("parts", "status", "kind"),
    [
        ((b"nonsense\r\n\r\n",), b"400", b"malformed-request"),
        ((b"GET /" + b"x" * 101,), b"414", b"uri-too-long"),
        ((HEAD + b"X: " + b"y" * 300,), b"431", b"headers-too-large"),
        ((HEAD,), b"408", b"request-timeout"),
    ],
)
def test_what_is_wrong_is_told_and_ends_it(
    parts: tuple[bytes, ...], status: bytes, kind: bytes
) -> None:
    said = told(sends(*parts))
    assert said.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in said
    assert kind in said
    assert b"connection: close" in said.lower()


@pytest.mark.parametrize("framing", [b"1\r\nx\r\n" * 100, b"0\r\nX: " + b"y" * 300])
def test_more_framing_than_content_is_refused(framing: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED.replace(b"Host", b"Expect: 100-continue\r\nHost"))
        await reader.readuntil(b"100 Continue\r\n\r\n")  # the head has arrived for itself
        writer.write(framing)

    said = told(talk)
    assert said.startswith(b"HTTP/1.1 400")
    assert b"more framing than content" in said


def test_whoever_says_nothing_is_told_nothing() -> None:
    assert told(sends()) == b""


def test_an_answer_that_has_begun_is_not_mixed_with_another() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        await reader.readuntil(b"POST 0")
        writer.write(b"nonsense\r\n\r\n")

    assert told(talk).count(b"HTTP/1.1") == 1
