"""How fast jobs are accepted."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.ours import new_file, produce
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, Rates, percentile

BATCH_SHARE = 0.5
CONCURRENT_RATE = 20_000
CONCURRENT_SHARE = 0.2


def measure(plan: Plan, ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the rate of batches at both durabilities, then that of many callers at once."""
    for durability in ("power", "crash"):
        rates = Rates(tuple(batch_rate(plan, durability) for _ in range(plan.repetitions)))
        ratio = rates.median / ceiling.send.median
        judged = durability == "power"
        yield Figure(
            what="submit in batches of 500, one process",
            target=f">= {BATCH_SHARE} of the raw send" if judged else "",
            measured=str(rates),
            ratio=f"{ratio:.2f}",
            durability=durability,
            met=ratio >= BATCH_SHARE if judged else None,
        )
    yield concurrent(plan, ceiling)


def batch_rate(plan: Plan, durability: str) -> float:
    """Return jobs per second into a new file."""
    with new_file(durability) as env:
        return plan.jobs / float(produce("batches", "noop", plan.jobs, env))


def concurrent(plan: Plan, ceiling: Ceiling) -> Figure:
    """Return the figure of 200 coroutines, each of which waits until its job is durable."""
    taken, waits = [], []
    for _ in range(plan.repetitions):
        with new_file() as env:
            answer = produce("concurrent", "noop", plan.jobs, env)
        taken.append(plan.jobs / answer["seconds"])
        waits += answer["waits"]
    rates = Rates(tuple(taken))
    ratio = rates.median / ceiling.send.median
    return Figure(
        what="asubmit from 200 coroutines, each durable when it returns",
        target=f">= {CONCURRENT_RATE:,}/s or >= {CONCURRENT_SHARE} of the raw send",
        measured=f"{rates}; a call: p50 {percentile(waits, 0.5) * 1e3:.1f} ms, "
        f"p99 {percentile(waits, 0.99) * 1e3:.1f} ms",
        ratio=f"{ratio:.2f}",
        durability="power",
        met=rates.median >= CONCURRENT_RATE or ratio >= CONCURRENT_SHARE,
    )
