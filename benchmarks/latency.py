"""How soon a job starts in another process that waits for work, and what the waiting costs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import psutil

from benchmarks.ours import URL, new_file, produce, worker
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, percentile
from benchmarks.stamps import recording
from benchmarks.workers import Workers, environment, running

P50_MS = 1.5
SERVER_P50_MS = 3.0
P99_MS = 5.0
IDLE_SHARE = 0.01
WARM_UP_JOBS = 20
CONCURRENCY = 10


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the latency of single submits, then the CPU time of the worker while it idles."""
    with new_file() as env, recording() as stamps:
        shared = {**env, **stamps.environment}
        with running([worker(CONCURRENCY)], environment(shared)) as workers:
            produce("single", "noop", WARM_UP_JOBS, shared)
            waits = produce("single", "noop", plan.samples, shared)
            idle = idle_share(workers, plan.idle_seconds)
    target = SERVER_P50_MS if URL in os.environ else P50_MS
    p50, p99 = (percentile(waits, share) * 1e3 for share in (0.5, 0.99))
    yield Figure(
        what=f"submit to start in another, idle process; {plan.samples} one at a time",
        target=f"p50 <= {target} ms, p99 <= {P99_MS} ms",
        measured=f"p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        durability="power",
        met=p50 <= target and p99 <= P99_MS,
    )
    yield Figure(
        what="CPU of an idle worker, supervisor included",
        target=f"<= {IDLE_SHARE:.0%} of a core",
        measured=f"{idle:.2%}",
        met=idle <= IDLE_SHARE,
    )


def idle_share(workers: Workers, seconds: float) -> float:
    """Return the share of one core that the workers' process trees use while nothing waits."""
    before, start = cpu_seconds(workers), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(workers) - before) / (time.monotonic() - start)


def cpu_seconds(workers: Workers) -> float:
    """Return the CPU time that the workers' process trees have used so far, in ticks of 10 ms."""
    trees = [psutil.Process(process.pid) for process in workers.processes]
    every = [each for tree in trees for each in [tree, *tree.children(recursive=True)]]
    return float(sum(sum(process.cpu_times()[:2]) for process in every))
