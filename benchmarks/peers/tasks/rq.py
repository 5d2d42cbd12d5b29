"""RQ over Redis."""

import os

import redis
import rq

from benchmarks.stamps import stamp


def noop() -> None:
    """Run."""
    stamp()


def fill(jobs: int) -> None:
    """Submit in batches of 1,000."""
    queue = rq.Queue(connection=redis.Redis.from_url(os.environ["HEADRACE_BENCH_ROOM"]))
    for start in range(0, jobs, 1000):
        batch = range(start, min(start + 1000, jobs))
        queue.enqueue_many([rq.Queue.prepare_data(noop) for _ in batch])
