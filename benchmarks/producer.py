"""Submit jobs in a fresh process: `producer ACTION TASK JOBS` prints what it took, as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import raw_sqlite
from benchmarks.jobs import TASKS, app
from benchmarks.plan import LONG_SECONDS, SHORT_SECONDS
from benchmarks.stamps import VARIABLE, Stamps

COROUTINES = 200


def batches(name: str, jobs: int) -> float:
    """Submit in batches of the size that the raw ceiling uses; return the seconds."""
    task = TASKS[name]
    app.submit([])  # opens the file, which the ceiling does not time either
    start = time.perf_counter()
    for first in range(0, jobs, raw_sqlite.BATCH):
        batch = range(first, min(first + raw_sqlite.BATCH, jobs))
        app.submit([task.call(n) for n in batch])
    return time.perf_counter() - start


def concurrent(name: str, jobs: int) -> dict[str, object]:
    """Submit from coroutines, each job durable before the next; return what all and each took."""
    task = TASKS[name]
    waits: list[float] = []

    async def lane(numbers: range) -> None:
        for n in numbers:
            start = time.perf_counter()
            await task.asubmit(n)
            waits.append(time.perf_counter() - start)

    async def lanes() -> float:
        await app.asubmit([])
        start = time.perf_counter()
        numbers = (range(first, jobs, COROUTINES) for first in range(COROUTINES))
        await asyncio.gather(*(lane(each) for each in numbers))
        return time.perf_counter() - start

    return {"seconds": asyncio.run(lanes()), "waits": waits}


def single(name: str, jobs: int) -> list[float]:
    """Submit one at a time to an idle worker; return the seconds from each call to its start."""
    task, stamps = TASKS[name], Stamps(Path(os.environ[VARIABLE]))
    seen = stamps.count()
    called = []
    for n in range(jobs):
        time.sleep(random.uniform(0.002, 0.03))
        called.append(time.monotonic())
        task.submit(n)
        if not stamps.wait(seen + n + 1, timeout=30):
            raise SystemExit(f"job {n} had not started after 30 s")
    return [start - call for call, start in zip(called, stamps.times()[seen:], strict=True)]


def naps(name: str, jobs: int) -> None:
    """Submit short naps with one long one among the first."""
    calls = [TASKS[name].call(SHORT_SECONDS) for _ in range(jobs)]
    calls.insert(10, TASKS[name].call(LONG_SECONDS))
    app.submit(calls)


ACTIONS: dict[str, Callable[[str, int], object]] = {
    "batches": batches,
    "concurrent": concurrent,
    "single": single,
    "naps": naps,
}

if __name__ == "__main__":
    print(json.dumps(ACTIONS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
