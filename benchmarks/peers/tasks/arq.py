"""Arq over Redis."""

import os
from functools import partial

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers.fill import in_flight
from benchmarks.stamps import stamp

SETTINGS = RedisSettings.from_dsn(os.environ["HEADRACE_BENCH_ROOM"])
QUIET = {"version": 1, "root": {"level": "WARNING"}}


async def noop(_context: object) -> None:
    """Run."""
    stamp()


class Worker:
    """What the command line reads."""

    functions = (noop,)
    redis_settings = SETTINGS
    max_jobs = 100
    log_results = False


async def fill(jobs: int) -> None:
    """Submit from 100 coroutines: there is no batch."""
    pool = await create_pool(SETTINGS)
    await in_flight(100, jobs, partial(pool.enqueue_job, "noop"))
    await pool.aclose()
