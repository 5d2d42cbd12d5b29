"""How fast a full queue is emptied, by our worker or by a peer's: one measure for all."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ours import ASYNC_CONCURRENCY, THREADS, new_file, produce, worker
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, NotMeasuredError, Rates
from benchmarks.stamps import Stamps, recording
from benchmarks.workers import environment, running

SHARE = 0.2
TIMEOUT_SECONDS = 180.0
# A job that runs twice does so after the last one should have run.
AFTERMATH_SECONDS = 0.5

KINDS = {"async def": ("noop_async", ASYNC_CONCURRENCY), "def": ("noop", THREADS)}


@dataclass(frozen=True)
class Round:
    """Jobs per second of one round: submitted in batches, then run by a worker."""

    filled: float
    drained: float


def run_all(
    commands: Sequence[Sequence[str]],
    stamps: Stamps,
    jobs: int,
    env: Mapping[str, str],
    python: Path = Path(sys.executable),
) -> list[float]:
    """Start workers on a queue that holds `jobs` jobs; return when each ran, in order.

    Raises:
        NotMeasuredError: they did not all run in time, or some ran twice.
    """
    with running(commands, environment({**env, **stamps.environment}, python)) as workers:
        stamps.wait(jobs, TIMEOUT_SECONDS, workers.alive)
        time.sleep(AFTERMATH_SECONDS)
        times = stamps.times()
        if len(times) != jobs:
            raise NotMeasuredError(
                f"{len(times):,} runs of {jobs:,} jobs within {TIMEOUT_SECONDS:.0f} s; "
                f"the workers' last words: {workers.last_words()}"
            )
    return times


def fill_and_drain(kind: str, jobs: int) -> Round:
    """Submit jobs of one kind to a new file, then start one worker process on it."""
    task, concurrency = KINDS[kind]
    with new_file() as env, recording() as stamps:
        seconds = float(produce("batches", task, jobs, env))
        times = run_all([worker(concurrency)], stamps, jobs, env)
    return Round(jobs / seconds, jobs / (times[-1] - times[0]))


def measure(plan: Plan, ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the rate of one worker process for each kind of task."""
    for kind in KINDS:
        rounds = [fill_and_drain(kind, plan.jobs) for _ in range(plan.repetitions)]
        rates = Rates(tuple(taken.drained for taken in rounds))
        ratio = rates.median / ceiling.process.median
        yield Figure(
            what=f"drain {plan.jobs:,} {kind} no-op jobs, one worker process, results stored",
            target=f">= {SHARE} of the raw process",
            measured=str(rates),
            ratio=f"{ratio:.2f}",
            durability="power",
            met=ratio >= SHARE,
        )
