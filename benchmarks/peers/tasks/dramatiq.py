"""Dramatiq over Redis."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.stamps import stamp

dramatiq.set_broker(RedisBroker(url=os.environ["HEADRACE_BENCH_ROOM"]))


@dramatiq.actor
def noop() -> None:
    """Run."""
    stamp()


def fill(jobs: int) -> None:
    """Submit one by one: there is no batch."""
    for _ in range(jobs):
        noop.send()
