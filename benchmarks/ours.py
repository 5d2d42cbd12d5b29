"""How Headrace is set up for a measurement: a new file, a producer and a worker beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import NotMeasuredError
from benchmarks.workers import REPOSITORY, environment

ASYNC_CONCURRENCY = 500
THREADS = 100


@contextmanager
def new_file(durability: str = "power") -> Iterator[dict[str, str]]:
    """Give the environment of processes that share one new database file."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "HEADRACE_URL": f"sqlite:///{folder}/bench.db",
            "HEADRACE_DURABILITY": durability,
        }


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
