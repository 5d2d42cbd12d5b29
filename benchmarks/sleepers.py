"""Whether waiting jobs overlap as they should, and a long one holds up no other."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.drain import run_all
from benchmarks.ours import ASYNC_CONCURRENCY, THREADS, new_file, produce, worker
from benchmarks.plan import LONG_SECONDS, SHORT_SECONDS, Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure
from benchmarks.stamps import recording

TIMES_IDEAL = 1.5
CASES = (
    ("asyncio.sleep", "nap_async", ASYNC_CONCURRENCY, "at concurrency"),
    ("time.sleep", "nap", THREADS, "on threads:"),
)


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the time of many short naps with a long one among them, on the loop and on threads."""
    for function, task, width, where in CASES:
        ideal = plan.naps * SHORT_SECONDS / width
        with new_file() as env, recording() as stamps:
            produce("naps", task, plan.naps, env)
            # The long one ends last, unless it held up others: then they end after it.
            times = run_all([worker(width)], stamps, plan.naps + 1, env)
        taken = times[plan.naps - 1] - times[0] + SHORT_SECONDS
        yield Figure(
            what=f"{plan.naps:,} x {function}({SHORT_SECONDS}) {where} {width}, "
            f"one of {LONG_SECONDS:.0f} s among them",
            target=f"<= {TIMES_IDEAL} x the ideal {ideal:.2f} s",
            measured=f"{taken:.2f} s",
            ratio=f"{taken / ideal:.2f}",
            durability="power",
            met=taken <= TIMES_IDEAL * ideal,
        )
