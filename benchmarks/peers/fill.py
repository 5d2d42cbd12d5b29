"""Fill a peer's queue, in the peer's own environment: `fill NAME JOBS` prints the seconds."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable


async def in_flight(width: int, jobs: int, submit: Callable[[], Awaitable[object]]) -> None:
    """Submit `jobs` jobs from `width` coroutines, each waiting for its own answers."""

    async def lane(share: int) -> None:
        for _ in range(share):
            await submit()

    await asyncio.gather(*(lane(len(range(start, jobs, width))) for start in range(width)))


def main(name: str, jobs: int) -> None:
    """Time the module's `fill`, be it a coroutine function or not."""
    fill = importlib.import_module(f"benchmarks.peers.tasks.{name}").fill
    start = time.perf_counter()
    answer = fill(jobs)
    if inspect.iscoroutine(answer):
        asyncio.run(answer)
    print(json.dumps(time.perf_counter() - start))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
