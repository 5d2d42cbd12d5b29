"""What is paid before any job runs: memory of an idle worker, and the time of the import."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

import psutil

from benchmarks.ours import ASYNC_CONCURRENCY, new_file, produce, worker
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure
from benchmarks.stamps import recording
from benchmarks.workers import REPOSITORY, environment, running

MEMORY_MB = 60
IMPORT_MS = 100
IMPORTS = 9
TIMED_IMPORT = """
import time
start = time.perf_counter()
from headrace import App
print(time.perf_counter() - start)
"""


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the memory of a worker that has run one job and waits, then the import time."""
    sizes = idle_sizes(plan.idle_seconds)
    yield Figure(
        what="memory of an idle worker process",
        target=f"<= {MEMORY_MB} MB",
        measured=f"{max(sizes):.0f} MB; each of its tree: "
        + " + ".join(f"{size:.0f}" for size in sizes),
        met=max(sizes) <= MEMORY_MB,
    )
    milliseconds = statistics.median(import_times()) * 1e3
    yield Figure(
        what="from headrace import App, in a new interpreter",
        target=f"<= {IMPORT_MS} ms",
        measured=f"{milliseconds:.0f} ms",
        met=milliseconds <= IMPORT_MS,
    )


def idle_sizes(seconds: float) -> list[float]:
    """Return the resident megabytes of the worker and of its supervisor and helpers."""
    with new_file() as env, recording() as stamps:
        shared = {**env, **stamps.environment}
        with running([worker(ASYNC_CONCURRENCY)], environment(shared)) as workers:
            produce("single", "noop", 1, shared)
            time.sleep(seconds)
            (process,) = workers.processes
            tree = psutil.Process(process.pid)
            every = [tree, *tree.children(recursive=True)]
            return [each.memory_info().rss / 1e6 for each in every]


def import_times() -> list[float]:
    """Return the seconds that the import takes in fresh interpreters, all files being compiled."""
    with tempfile.TemporaryDirectory() as folder:
        # Whoever works on the sources may well have turned off what a user has.
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        return [import_seconds(environment(compiled)) for _ in range(IMPORTS + 1)][1:]


def import_seconds(env: Mapping[str, str]) -> float:
    """Return how long the import takes in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED_IMPORT],
        cwd=REPOSITORY,
        env=env,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout)
