"""Taskiq over a Redis list."""

import os

from taskiq_redis import ListQueueBroker

from benchmarks.peers.fill import in_flight
from benchmarks.stamps import stamp

broker = ListQueueBroker(os.environ["HEADRACE_BENCH_ROOM"])


@broker.task
async def noop() -> None:
    """Run."""
    stamp()


async def fill(jobs: int) -> None:
    """Submit from 100 coroutines: there is no batch."""
    await broker.startup()
    await in_flight(100, jobs, noop.kiq)
    await broker.shutdown()
