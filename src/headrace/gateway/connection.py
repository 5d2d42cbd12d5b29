"""Connection: HTTP/1.1 as it arrives, within limits, and with problems where it is none.

uvicorn hands a request to an application when its head is there. What is wrong before that, and
what never gets there, is seen to here: a head without end, one that arrives too slowly, chunks with
more framing than content (RFC 9112 §7.1).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings

_LOOKS = 4


class Connection(HttpToolsProtocol):
    """One connection of a client; uvicorn makes them.

    Args:
        settings: the limits.
        more: what uvicorn gives.
    """

    def __init__(self, *, settings: Settings, **more: Any) -> None:
        super().__init__(**more)
        self._settings = settings
        self._head: int | None = (
            0  # bytes of a head that is not whole yet; None: a body, or nothing
        )
        self._until = 0.0
        self._inside = False  # whether all that comes belongs to one body
        self._content = 0
        self._framing = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request, but not for ever (asyncio)."""
        super().connection_made(transport)
        self._until = self.loop.time() + self._settings.body_timeout
        self._look_later()

    def data_received(self, data: bytes) -> None:
        """Read on, and give up where it gets too much (asyncio)."""
        self._inside = self._head is None
        self._content = 0
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None:
            self._check_head(self._head)
        elif self._inside:
            self._framing += len(data) - 2 * self._content
            if self._framing > self._settings.max_headers:
                self.refuse(Problem("malformed-request", "there is more framing than content"))

    def on_message_begin(self) -> None:
        """Begin a request (httptools)."""
        super().on_message_begin()
        self._head = self._head or 1
        self._until = self.loop.time() + self._settings.body_timeout

    def on_headers_complete(self) -> None:
        """Hand over a request whose head is there (httptools)."""
        self._head, self._inside, self._framing = None, False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body (httptools)."""
        self._content += len(body)
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP (uvicorn)."""
        self.refuse(Problem("malformed-request", f"{msg.rstrip('.')} (RFC 9112)"))

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer is under way, and close the connection."""
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete or not cycle.response_started:
            response = problem.response()
            response.headers["Connection"] = "close"
            fields = [b"%b: %b\r\n" % field for field in response.raw_headers]
            parts = STATUS_LINE[problem.status], *fields, b"\r\n", bytes(response.body)
            self.transport.write(b"".join(parts))
        if cycle is not None:
            cycle.disconnected = True  # what the application says from now on, nobody hears
            cycle.message_event.set()
        self.transport.close()

    def _check_head(self, size: int) -> None:
        settings = self._settings
        if not self.headers and len(self.url) > settings.max_url:
            self.refuse(Problem("uri-too-long", f"the limit is {settings.max_url} bytes"))
        elif size > settings.max_url + settings.max_headers:
            self.refuse(Problem("headers-too-large", f"the limit is {settings.max_headers} bytes"))

    def _look_later(self) -> None:
        self.loop.call_later(self._settings.body_timeout / _LOOKS, self._look)

    def _look(self) -> None:
        """Give up on a head that does not arrive; after a response, uvicorn keeps the time."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self._head is None or self.loop.time() < self._until:
            self._look_later()
        elif self._head:
            self.refuse(Problem("request-timeout", "the header fields did not arrive in time"))
        else:
            self.transport.close()


def connections(settings: Settings) -> Any:
    """Return what uvicorn makes connections with: `uvicorn.Config(..., http=connections(s))`."""
    return partial(Connection, settings=settings)
