"""Wire: HTTP/1.1 as uvicorn speaks it, with bounds on what comes before a body.

The parser beneath keeps as many header fields as somebody sends, for as long as it takes. Here they
have a size and a time, and what is not HTTP is answered like everything else: with a problem.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.gateway.problem import MEDIA_TYPE, Problem

HEAD_SECONDS = 10.0
"""How long an address and its header fields may take to arrive."""

_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class Wire(HttpToolsProtocol):
    """One connection.

    Args:
        max_head: bytes that an address and all header fields may have.
        given: what uvicorn gives to a protocol.
    """

    def __init__(self, *, max_head: int, **given: Any) -> None:
        super().__init__(**given)
        self._max_head = max_head
        self._size = 0
        self._in_head = True
        self._began = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget about the connection."""
        self._end_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; a head that goes on and on is cut off."""
        super().data_received(data)
        if self._in_head:
            self._size += len(data)
            if self._size > self._max_head and not self.transport.is_closing():
                self._refuse(Problem("headers-too-large", f"the limit is {self._max_head} bytes"))

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to a WebSocket, which has bounds of its own."""
        self._end_timer()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Begin to count, and to look at the clock."""
        super().on_message_begin()
        self._in_head, self._size, self._began = True, 0, self.loop.time()

    def on_headers_complete(self) -> None:
        """Let the request go on its way."""
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP (RFC 9112 §2.2), and close."""
        self._refuse(Problem("malformed-request", msg))

    def _look(self) -> None:
        """Look, now and then, whether a head takes too long: one timer for all its requests."""
        if self.transport.is_closing():
            return
        if self._in_head and self.loop.time() - self._began >= HEAD_SECONDS:
            self._refuse(Problem("request-timeout", f"header fields have {HEAD_SECONDS:g} s"))
        else:
            self._timer = self.loop.call_later(HEAD_SECONDS / 2, self._look)

    def _refuse(self, problem: Problem) -> None:
        body = msgspec.json.encode(problem.content(self.root_path))
        lines = [
            b"HTTP/1.1 %d %b" % (problem.status, _REASONS[problem.status]),
            *(b"%b: %b" % field for field in self.server_state.default_headers),
            b"content-type: " + MEDIA_TYPE.encode(),
            b"content-length: %d" % len(body),
            b"connection: close",
            b"",
            body,
        ]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
