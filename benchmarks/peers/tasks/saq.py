"""SAQ over Redis."""

import os
from functools import partial

from saq import Queue

from benchmarks.peers.fill import in_flight
from benchmarks.stamps import stamp

queue = Queue.from_url(os.environ["HEADRACE_BENCH_ROOM"])


async def noop(_context: object) -> None:
    """Run."""
    stamp()


settings = {"queue": queue, "functions": [noop], "concurrency": 10}


async def fill(jobs: int) -> None:
    """Submit from 100 coroutines: there is no batch."""
    await queue.connect()
    await in_flight(100, jobs, partial(queue.enqueue, "noop"))
    await queue.disconnect()
