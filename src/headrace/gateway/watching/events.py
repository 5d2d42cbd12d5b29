"""Events: a job's life as a stream: Server-Sent Events (WHATWG HTML §9.2), or JSON lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from headrace.gateway.desk import Desk
from headrace.gateway.portrait import encode, failure_of
from headrace.gateway.problem import Problem
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.lookout import Lookout
from headrace.gateway.watching.sight import Sight
from headrace.gateway.watching.tickets import Tickets

PING_SECONDS = 15.0
"""How often a stream without news shows that it lives (WHATWG HTML §9.2.7)."""

_RETRY_MS = 3000
_SSE = "text/event-stream"
_LINES = ("application/jsonl", "application/x-ndjson")
_ANY = ("*/*", "text/*")
_END = "-end"
_ID_LENGTH = 28

Write = Callable[[str, str, object], bytes]


class Events:
    """Streams what happens to a job until it has ended.

    The id of an event is the entity tag of the job as it then was: a client that comes back with
    it is told of what is new, and with the id of the last event that there is nothing more (204).

    Args:
        desk: serves.
        feed: brings the news.
        tickets: let browsers in.
    """

    def __init__(self, desk: Desk, feed: Feed, tickets: Tickets) -> None:
        self._desk = desk
        self._feed = feed
        self._tickets = tickets
        self.routes = [Route("/v1/jobs/{job}/events", self._stream, methods=["GET"])]

    async def _stream(self, request: Request) -> Response:
        media_type = _media_type(request)
        caller = await self._tickets.caller(request, "jobs:read")
        at = self._desk.app.clock.now()
        record = await self._desk.record(caller, request.path_params["job"])
        last = request.headers.get("last-event-id", "")
        if record.state.terminal and last.endswith(_END):
            sight = Sight(record, None, self._desk.settings.inline_result, at)
            if last == _id(sight, _base(request)) + _END:
                return Response(status_code=204)
        spread = int(_RETRY_MS * (1 + self._desk.app.ids.fraction()))
        return _Stream(Lookout(self._feed, record.id), last, media_type, spread)


class _Stream(StreamingResponse):
    """The stream of one client. Of news that it is too slow for, it gets the newest.

    Args:
        lookout: watches the job.
        last: the id of the last event that the client has; empty: none.
        media_type: of the stream.
        retry: milliseconds until a client should come back that was sent away.
    """

    def __init__(self, lookout: Lookout, last: str, media_type: str, retry: int) -> None:
        headers = {
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
            "Vary": "Accept",
        }
        super().__init__(self._events(), 200, headers, media_type)
        self._lookout = lookout
        self._last = last
        self._retry = retry
        self._base = ""
        self._write: Write = _sse if media_type == _SSE else _line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the job has ended or the client has gone (ASGI)."""
        self._base = str(scope.get("root_path", ""))
        with self._lookout:
            await super().__call__(scope, receive, send)

    async def _events(self) -> AsyncIterator[bytes]:
        lookout, told = self._lookout, None
        sse = self._write is _sse
        yield f"retry: {_RETRY_MS}\n\n".encode() if sse else b""
        if self._last and not _is_id(self._last):
            yield self._write("reset", "", {})
        while not lookout.stopped:
            if not await lookout.look(PING_SECONDS):
                yield b": ping\n\n" if sse else b"\n"
                continue
            if lookout.gone:
                yield self._write("end", "", {"state": None})
                return
            if (sight := lookout.sight) is not None:
                for event in self._news(told, sight):
                    yield event  # meanwhile there may be a newer one
                told = sight
                if sight.ended:
                    return
        yield f"retry: {self._retry}\n".encode() if sse else b""
        yield self._write("shutdown", "", {})

    def _news(self, told: Sight | None, sight: Sight) -> Iterator[bytes]:
        """Yield what is new of a job since it was told of last."""
        name = _id(sight, self._base)
        if told is None and name != self._last.removesuffix(_END):
            yield self._write("snapshot", name, msgspec.Raw(sight.body(self._base)))
        elif told is not None and name != _id(told, self._base):
            if sight.outline() != told.outline():
                yield self._write("state", name, sight.outline(self._base))
            elif sight.progress is not None:
                yield self._write("progress", name, sight.progress)
        if sight.ended:
            yield self._write("result", name, _result(sight))
            yield self._write("end", name + _END, {"state": sight.state})


def _result(sight: Sight) -> dict[str, Any]:
    result = sight.result
    return {"state": sight.state, "result": result, "failure": failure_of(sight.record)}


def _id(sight: Sight, base: str) -> str:
    return sight.etag(base).strip('"')


def _is_id(text: str) -> bool:
    return len(text) <= _ID_LENGTH and text.removesuffix(_END).isalnum()


def _sse(event: str, name: str, data: object) -> bytes:
    """Return an event as SSE has it; JSON has no line breaks that would have to be split."""
    head = f"id: {name}\n" if name else ""
    return f"{head}event: {event}\ndata: ".encode() + encode(data) + b"\n\n"


def _line(event: str, name: str, data: object) -> bytes:
    return encode({"event": event, "id": name or None, "data": data}) + b"\n"


def _media_type(request: Request) -> str:
    """Return what the client would rather read.

    Raises:
        Problem: it reads neither (406).
    """
    accept = ",".join(request.headers.getlist("accept")).lower() or "*/*"
    for part in accept.split(","):
        name = part.split(";")[0].strip()
        if name in _LINES:
            return name
        if name == _SSE or name in _ANY:
            return _SSE
    raise Problem("not-acceptable", f"there are {_SSE} and {_LINES[0]}")


def _base(request: Request) -> str:
    return str(request.scope.get("root_path", ""))
