"""Celery over Redis."""

import os

from celery import Celery

from benchmarks.stamps import stamp

app = Celery("peer", broker=os.environ["HEADRACE_BENCH_ROOM"])


@app.task
def noop() -> None:
    """Run."""
    stamp()


def fill(jobs: int) -> None:
    """Submit one by one: there is no batch."""
    for _ in range(jobs):
        noop.delay()
