"""Huey over Redis."""

import os

from huey import RedisHuey

from benchmarks.stamps import stamp

queue = RedisHuey("peer", url=os.environ["HEADRACE_BENCH_ROOM"])


@queue.task()
def noop() -> None:
    """Run."""
    stamp()


def fill(jobs: int) -> None:
    """Submit one by one: there is no batch."""
    for _ in range(jobs):
        noop()
