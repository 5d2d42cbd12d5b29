"""Whether a file that holds very many jobs is as fast as an empty one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.ours import ASYNC_CONCURRENCY, new_file, produce, worker
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, NotMeasuredError, Rates
from benchmarks.stamps import Stamps, recording
from benchmarks.workers import environment, running

SHARE = 0.8
TASK = "noop_async"
TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class File:
    """One database file, its producers and its workers."""

    env: Mapping[str, str]
    stamps: Stamps

    def submit(self, jobs: int) -> float:
        """Submit in batches; return jobs per second."""
        return jobs / float(produce("batches", TASK, jobs, self.env))

    def claim(self, jobs: int) -> float:
        """Let a worker run that many jobs or a few more; return jobs per second."""
        seen = self.stamps.count()
        shared = environment({**self.env, **self.stamps.environment})
        with running([worker(ASYNC_CONCURRENCY)], shared) as workers:
            if not self.stamps.wait(seen + jobs, TIMEOUT_SECONDS, workers.alive):
                raise NotMeasuredError(f"the worker's last words: {workers.last_words()}")
        times = self.stamps.times()[seen : seen + jobs]
        return jobs / (times[-1] - times[0])


@contextmanager
def new() -> Iterator[File]:
    """Give an empty file."""
    with new_file() as env, recording() as stamps:
        yield File(env, stamps)


@dataclass(frozen=True)
class Speed:
    """Jobs per second of some rounds, each a submit and then a claim of as many."""

    submit: Rates
    claim: Rates

    @classmethod
    def of(cls, rounds: list[tuple[float, float]]) -> Speed:
        """Gather the rounds."""
        submits, claims = zip(*rounds, strict=True)
        return cls(Rates(submits), Rates(claims))


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the rates of a file full of waiting jobs, then full of finished ones."""
    times, jobs, many = range(plan.repetitions), plan.jobs, plan.big_file
    empty = Speed.of([_empty_round(jobs) for _ in times])
    with new() as file:
        file.submit(many)
        waiting = Speed.of([(file.submit(jobs), file.claim(jobs)) for _ in times])
        file.claim(many + len(times) * jobs - file.stamps.count())
        finished = Speed.of([(file.submit(jobs), file.claim(jobs)) for _ in times])
    for what, speed in (("waiting", waiting), ("finished", finished)):
        for verb, rates, base in (
            ("submit to", speed.submit, empty.submit),
            ("drain of", speed.claim, empty.claim),
        ):
            ratio = rates.median / base.median
            yield Figure(
                what=f"{verb} a file with {many:,} {what} jobs",
                target=f">= {SHARE} of an empty file's",
                measured=f"{rates}; empty: {base}",
                ratio=f"{ratio:.2f}",
                durability="power",
                met=ratio >= SHARE,
            )


def _empty_round(jobs: int) -> tuple[float, float]:
    with new() as file:
        return file.submit(jobs), file.claim(jobs)
