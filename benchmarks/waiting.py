"""How soon a client knows that a job is done, alone and among thousands, and what waiting costs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast

import psutil
from msgspec import Raw

from benchmarks.ours import new_file
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, NotMeasuredError, percentile
from benchmarks.waiting_server import noop
from benchmarks.workers import REPOSITORY, environment
from headrace import App
from headrace.engine import Engine
from headrace.record import State
from headrace.write import RetryJobs, Settle, Settlement

P50_MS, P99_MS = 5.0, 50.0
CROWD_P99_S = 2.0
CROWD_MB = 600
RATE = 500
BATCH = 25
_SOURCES = 8
_OPENED_AT_ONCE = 100
HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Open = Callable[[int, str], Awaitable[Streams]]


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the time from the commit of a result to a client that waits, then that of a crowd."""
    with new_file() as env:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.waiting_server"],
            cwd=REPOSITORY,
            env=environment(env),
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            if not (line := process.stdout.readline()):
                raise NotMeasuredError("the gateway did not start, see above")
            os.environ.update(env)
            yield from asyncio.run(_measure(plan, int(line), process.pid))
        finally:
            process.terminate()
            process.wait(30)


async def _measure(plan: Plan, port: int, pid: int) -> list[Figure]:
    figures = []
    app = App()
    app.task(name="noop")(noop)
    async with app:
        for name, way in WAYS.items():
            times = [await _one(app, port, way) for _ in range(plan.samples)]
            p50, p99 = (percentile(times, share) * 1e3 for share in (0.5, 0.99))
            figures.append(
                Figure(
                    what=f"job done to client knows, by {name}; {plan.samples} one at a time",
                    target=f"p50 <= {P50_MS} ms, p99 <= {P99_MS} ms",
                    measured=f"p50 {p50:.2f} ms, p99 {p99:.2f} ms",
                    durability="power",
                    met=p50 <= P50_MS and p99 <= P99_MS,
                )
            )
        figures += await _crowd(app, port, pid, plan.sockets)
    return figures


# One client ---------------------------------------------------------------------------------------


async def _one(app: App, port: int, way: Open) -> float:
    """Return the seconds from the commit of a result until a client that waits knows it."""
    (job,) = await app.asubmit([app.registry.get("noop").call()])
    reader, writer = await way(port, job.id)
    await asyncio.sleep(0.02)  # so that it is idle
    engine = (await app.aintake()).engine
    committed = await _finish(engine, 1)
    while b'"succeeded"' not in await reader.read(65536):
        pass
    known = time.monotonic()
    writer.close()
    await writer.wait_closed()
    return known - committed


async def _long_poll(port: int, job: str) -> Streams:
    return await _request(port, f"/v1/jobs/{job}?wait=30")


async def _stream(port: int, job: str) -> Streams:
    reader, writer = await _request(port, f"/v1/jobs/{job}/events")
    await reader.readuntil(b'"ready"')
    return reader, writer


async def _socket(port: int, job: str) -> Streams:
    reader, writer = await _request(port, "/v1/ws", HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_subscription(job))
    await reader.readuntil(b'"snapshot"')
    return reader, writer


def _subscription(job: str) -> bytes:
    text = json.dumps({"op": "subscribe", "jobs": [job]}).encode()
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


async def _request(port: int, path: str, fields: str = "") -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode())
    return reader, writer


WAYS: dict[str, Open] = {"long poll": _long_poll, "SSE": _stream, "WebSocket": _socket}


async def _finish(engine: Engine, count: int) -> float:
    """Run the next jobs, and return when their results were committed."""
    leases = await engine.lease(["default"], limit=count, seconds=60, holder="bench")
    done = tuple(Settlement(lease=x, to=State.SUCCEEDED, result=Raw(b"1")) for x in leases)
    await engine.apply(Settle(done))
    return time.monotonic()


# A crowd ------------------------------------------------------------------------------------------


class _Member(asyncio.Protocol):
    """One WebSocket that waits for one job, as cheaply as can be; it answers pings."""

    def __init__(self, job: str) -> None:
        loop = asyncio.get_running_loop()
        self._job = job
        self._received = b""
        self.waits: asyncio.Future[None] = loop.create_future()
        self.knows: asyncio.Future[float] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket, and for the job."""
        self.transport = cast("asyncio.Transport", transport)
        head = f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\n{HANDSHAKE}\r\n"
        self.transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        """Take what comes apart; nothing here is longer than 64 KiB."""
        self._received += data
        if self._received.startswith(b"HTTP"):
            head, end, self._received = self._received.partition(b"\r\n\r\n")
            if not end:
                self._received = head
                return
            self.transport.write(_subscription(self._job))
        while (size := _size(self._received)) and len(self._received) >= size:
            frame, self._received = self._received[:size], self._received[size:]
            if frame[0] == _PING:
                self.transport.write(bytes([0x8A, 0x80 | frame[1], 0, 0, 0, 0]) + frame[2:])
            elif b'"snapshot"' in frame:
                self.waits.set_result(None)
            elif b'"succeeded"' in frame and not self.knows.done():
                self.knows.set_result(time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up, if it was not this program that closed it."""
        for future in (self.waits, self.knows):
            if not future.done():
                future.cancel()
        del exc


_PING = 0x89
_LONG = 126


def _size(received: bytes) -> int:
    """Return the size of the frame that comes first; 0 if that is not known yet."""
    if len(received) < 4:  # noqa: PLR2004 - the longest head there is here
        return 2 + received[1] if len(received) > 1 and received[1] < _LONG else 0
    short = received[1] < _LONG
    return 2 + received[1] if short else 4 + int.from_bytes(received[2:4], "big")


async def _crowd(app: App, port: int, pid: int, sockets: int) -> list[Figure]:
    call = app.registry.get("noop").using(delay=3600)
    ids = [job.id for job in await app.asubmit([call.call() for _ in range(sockets)])]
    server = psutil.Process(pid)
    empty = server.memory_info().rss
    async with _opened(port, ids) as members:
        await asyncio.sleep(2)
        rss = server.memory_info().rss
        before = sum(server.cpu_times()[:2])
        await asyncio.sleep(3)
        idle = (sum(server.cpu_times()[:2]) - before) / 3
        delays = await _complete(app, ids, members)
        p50, p99 = (percentile(delays, share) for share in (0.5, 0.99))
    return [
        Figure(
            what=f"{sockets:,} idle WebSockets, each with a job: memory of the gateway",
            target=f"<= {CROWD_MB} MB",
            measured=f"{rss / 1e6:.0f} MB, {(rss - empty) / sockets / 1e3:.1f} kB each",
            ratio=f"{idle:.0%} of a core",
            met=rss <= CROWD_MB * 1e6,
        ),
        Figure(
            what=f"{RATE} jobs/s done among them, to client knows",
            target=f"p99 <= {CROWD_P99_S} s",
            measured=f"p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms of {len(delays):,}",
            durability="power",
            met=p99 <= CROWD_P99_S,
        ),
    ]


@asynccontextmanager
async def _opened(port: int, ids: list[str]) -> AsyncIterator[dict[str, _Member]]:
    """Open a socket for each job; several source addresses, as each has few ports."""
    members = {job: _Member(job) for job in ids}
    loop = asyncio.get_running_loop()

    async def open_one(number: int, job: str) -> None:
        source = (f"127.0.0.{2 + number % _SOURCES}", 0)
        member = members[job]
        await loop.create_connection(lambda: member, "127.0.0.1", port, local_addr=source)
        await member.waits

    try:
        for start in range(0, len(ids), _OPENED_AT_ONCE):
            part = list(enumerate(ids[start : start + _OPENED_AT_ONCE], start))
            await asyncio.gather(*[open_one(number, job) for number, job in part])
        yield members
    finally:
        for member in members.values():
            member.transport.abort()


async def _complete(app: App, ids: list[str], members: dict[str, _Member]) -> list[float]:
    """Let jobs end at the rate, and return how long each client took to know it."""
    engine = (await app.aintake()).engine
    ended: dict[str, float] = {}
    chosen = ids[: min(len(ids), RATE * 8)]
    begin = time.monotonic()
    for start in range(0, len(chosen), BATCH):
        part = tuple(chosen[start : start + BATCH])
        await engine.apply(RetryJobs(part))
        committed = await _finish(engine, BATCH)
        ended |= dict.fromkeys(part, committed)
        await asyncio.sleep(max(0.0, begin + (start + BATCH) / RATE - time.monotonic()))
    async with asyncio.timeout(60):
        return [await members[job].knows - ended[job] for job in chosen]
