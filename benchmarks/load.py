"""Loads an HTTP server: `PORT PATH BODY SECONDS CONNECTIONS RATE`; prints what came of it as JSON.

With a rate of 0 each connection asks again as soon as it is answered. With another one, requests
are due at fixed moments, and a late answer counts from the moment when its request was due: a
server that stands still is not spared the requests of that time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from typing import cast

import uvloop

from benchmarks.report import percentile

TICK = 0.001
WARM_UP_SHARE = 0.2


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._due = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request to make."""
        self._transport = cast("asyncio.Transport", transport)
        self._load.free(self)

    def ask(self, due: float) -> None:
        """Make a request that was due at a moment."""
        self._due = due
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, which says how long it is."""
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
        if len(body) < length:
            return
        self._buffer = b""
        self._load.answered(self._due, accepted=head.startswith(b"HTTP/1.1 202"))
        self._load.free(self)


class Load:
    """Requests, for some seconds."""

    def __init__(self, request: bytes, seconds: float, rate: float) -> None:
        self.request = request
        self._rate = rate
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._begin = time.perf_counter()
        self._counts_from = self._begin + seconds * WARM_UP_SHARE
        self._end = self._begin + seconds
        self._waits: list[float] = []
        self._bad = 0

    def free(self, connection: Connection) -> None:
        """Give a connection its next request."""
        now = time.perf_counter()
        if now >= self._end:
            return
        if not self._rate:
            connection.ask(now)
        elif self._due:
            connection.ask(self._due.popleft())
        else:
            self._idle.append(connection)

    def answered(self, due: float, *, accepted: bool) -> None:
        """Note an answer."""
        if due >= self._counts_from:
            self._waits.append(time.perf_counter() - due)
        self._bad += not accepted

    async def pace(self) -> None:
        """Let requests become due, until the end."""
        made = 0
        while (now := time.perf_counter()) < self._end:
            until = int((now - self._begin) * self._rate)
            self._due.extend(self._begin + number / self._rate for number in range(made, until))
            made = until
            while self._due and self._idle:
                self._idle.popleft().ask(self._due.popleft())
            await asyncio.sleep(TICK)

    def result(self) -> dict[str, float]:
        """Return requests per second, waits in seconds, and answers that were no 202."""
        seconds = self._end - self._counts_from
        return {
            "rate": len(self._waits) / seconds,
            "p50": percentile(self._waits, 0.5),
            "p99": percentile(self._waits, 0.99),
            "bad": self._bad,
        }


async def run(port: int, request: bytes, seconds: float, connections: int, rate: float) -> Load:
    """Load the server at a port."""
    load = Load(request, seconds, rate)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    await load.pace()
    await asyncio.sleep(0.5)
    return load


def main() -> None:
    """Do what the arguments say."""
    port, path, body, seconds, connections, rate = sys.argv[1:]
    request = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    work = run(int(port), request.encode(), float(seconds), int(connections), float(rate))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(work).result()))


if __name__ == "__main__":
    main()
