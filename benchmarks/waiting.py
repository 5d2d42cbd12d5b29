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
from headrace.write import EditJobs, Settle, Settlement

P50_MS, P99_MS = 5.0, 50.0
CROWD_P99_S = 2.0
CROWD_MB = 600
RATE = 500
BATCH = 25
_SOURCES = 8
_OPENED_AT_ONCE = 100

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


async def _socket(port: int, job: str, host: str = "127.0.0.1") -> Streams:
    fields = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    reader, writer = await _request(port, "/v1/ws", fields, host)
    await reader.readuntil(b"\r\n\r\n")
    text = json.dumps({"op": "subscribe", "jobs": [job]}).encode()
    writer.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
    await reader.readuntil(b'"snapshot"')
    return reader, writer


async def _request(port: int, path: str, fields: str = "", host: str = "127.0.0.1") -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
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


async def _crowd(app: App, port: int, pid: int, sockets: int) -> list[Figure]:
    call = app.registry.get("noop").using(delay=3600)
    ids = [job.id for job in await app.asubmit([call.call() for _ in range(sockets)])]
    server = psutil.Process(pid)
    empty = server.memory_info().rss
    async with _opened(port, ids) as streams:
        await asyncio.sleep(2)
        rss = server.memory_info().rss
        before = sum(server.cpu_times()[:2])
        await asyncio.sleep(3)
        idle = (sum(server.cpu_times()[:2]) - before) / 3
        delays = await _complete(app, ids, streams)
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
async def _opened(port: int, ids: list[str]) -> AsyncIterator[dict[str, Streams]]:
    """Open a socket for each job; several source addresses, as each has few ports."""
    streams: dict[str, Streams] = {}

    async def open_one(number: int, job: str) -> None:
        streams[job] = await _socket(port, job, f"127.0.0.{2 + number % _SOURCES}")

    try:
        for start in range(0, len(ids), _OPENED_AT_ONCE):
            part = list(enumerate(ids[start : start + _OPENED_AT_ONCE], start))
            await asyncio.gather(*[open_one(number, job) for number, job in part])
        yield streams
    finally:
        for _, writer in streams.values():
            writer.transport.abort()


async def _complete(app: App, ids: list[str], streams: dict[str, Streams]) -> list[float]:
    """Let jobs end at the rate, and return how long each client took to know it."""
    engine = (await app.aintake()).engine
    known: dict[str, float] = {}
    ended: dict[str, float] = {}

    async def read(job: str) -> None:
        received = b""
        while b'"succeeded"' not in received:
            received = received[-20:] + await streams[job][0].read(65536)
        known[job] = time.monotonic()

    chosen = ids[: min(len(ids), RATE * 8)]
    readers = [asyncio.create_task(read(job)) for job in chosen]
    begin = time.monotonic()
    for start in range(0, len(chosen), BATCH):
        part = tuple(chosen[start : start + BATCH])
        await engine.apply(EditJobs(part, run_at=time.time() - 1))
        committed = await _finish(engine, BATCH)
        ended |= dict.fromkeys(part, committed)
        await asyncio.sleep(max(0.0, begin + (start + BATCH) / RATE - time.monotonic()))
    await asyncio.wait_for(asyncio.gather(*readers), 60)
    return [known[job] - ended[job] for job in chosen]
