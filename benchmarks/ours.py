"""How Headrace is set up for a measurement: a new file, a producer and a worker beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis

from benchmarks.report import NotMeasuredError
from benchmarks.workers import REPOSITORY, environment

ASYNC_CONCURRENCY = 500
THREADS = 100


URL = "HEADRACE_BENCH_URL"
"""Names the Redis server to measure; without it, each measurement has a new file."""


@contextmanager
def new_file(durability: str = "power") -> Iterator[dict[str, str]]:
    """Give the environment of processes that share one new database file, or new keys."""
    if url := os.environ.get(URL):
        with _new_keys(url) as env:
            yield env
        return
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "HEADRACE_URL": f"sqlite:///{folder}/bench.db",
            "HEADRACE_DURABILITY": durability,
        }


@contextmanager
def _new_keys(url: str) -> Iterator[dict[str, str]]:
    prefix = f"bench-{uuid4().hex}"
    try:
        yield {"HEADRACE_URL": f"{url}?prefix={prefix}", "HEADRACE_ALLOW_VOLATILE_SERVER": "true"}
    finally:
        with Redis.from_url(url) as client:
            for key in client.scan_iter(f"{{{prefix}}}:*", 1000):
                client.delete(key)


def produce(action: str, task: str, jobs: int, env: Mapping[str, str]) -> Any:
    """Let a fresh process submit jobs (see `producer`) and return what it says.

    Raises:
        NotMeasuredError: it failed; its own words are above the report.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.producer", action, task, str(jobs)],
        cwd=REPOSITORY,
        env=environment(env),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise NotMeasuredError(f"submitting {jobs:,} {task} jobs ({action}) failed, see above")
    return json.loads(done.stdout)


def worker(concurrency: int) -> list[str]:
    """Return the command of one worker process."""
    headrace = str(Path(sys.executable).with_name("headrace"))
    return [headrace, "worker", "benchmarks/jobs.py", "-p", "1", "-c", str(concurrency)]
