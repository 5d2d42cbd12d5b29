"""PostgreSQL while some session holds an old snapshot: what jobs leave behind stays, and piles up.

Jobs are offered at a steady rate, claimed and settled by one engine. The pace without a snapshot is
put beside that of the last part of the time for which one was held, when it should be worst.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import psycopg

from benchmarks import postgresql
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, percentile
from headrace.engines.postgresql import PostgreSQLEngine
from headrace.ids import Ids
from headrace.record import State
from headrace.testing.steps import message
from headrace.write import Send, Settle, Settlement

OFFERED = 2000
BATCH = 100
QUARTER = 4
"""Of the whole time, a quarter passes before the snapshot, and the last one is judged."""
KEPT_SHARE = 0.8
SLOWDOWN = 2.0
PATIENCE = 60.0
PAUSE = 0.005


@dataclass
class Pace:
    """What was done in some time.

    Attributes:
        seconds: how long it was.
        jobs: how many were settled.
        claims: how long each claim took that found jobs.
    """

    seconds: float = 0.0
    jobs: int = 0
    claims: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.jobs / self.seconds

    @property
    def p99(self) -> float:
        """Seconds that one claim in a hundred takes longer than."""
        return percentile(self.claims, 0.99)

    def __str__(self) -> str:
        """Say the rate and the times."""
        p50 = percentile(self.claims, 0.5)
        return (
            f"{self.rate:,.0f} jobs/s, claim p50 {p50 * 1e3:.1f} ms, p99 {self.p99 * 1e3:.1f} ms,"
            f" slowest {max(self.claims) * 1e3:.0f} ms"
        )


class Pressure:
    """Offers jobs at a steady rate, and works them off, from entering it to leaving it.

    Args:
        url: the server and schema.
    """

    def __init__(self, url: str) -> None:
        self._engine = PostgreSQLEngine(url, deadline=PATIENCE)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pace = Pace()
        self._threads = [
            threading.Thread(target=each) for each in (self._offer, self._work, self._keep)
        ]

    def __enter__(self) -> Self:
        self._engine.open().wait(PATIENCE)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._engine.close().wait(PATIENCE)

    def measure(self, seconds: float) -> Pace:
        """Return the pace of the next seconds."""
        with self._lock:
            pace = self._pace = Pace()
        since = time.perf_counter()
        time.sleep(seconds)
        pace.seconds = time.perf_counter() - since
        with self._lock:
            self._pace = Pace()
        return pace

    def _offer(self) -> None:
        ids = Ids()
        due = time.perf_counter()
        while not self._stop.wait(max(0.0, due - time.perf_counter())):
            due += BATCH / OFFERED
            jobs = tuple(message("x", id=name) for name in ids.job_ids(BATCH))
            self._engine.apply(Send(jobs)).wait(PATIENCE)

    def _work(self) -> None:
        while not self._stop.is_set():
            since = time.perf_counter()
            claim = self._engine.lease(["default"], limit=BATCH, seconds=PATIENCE, holder="w")
            leases = claim.wait(PATIENCE)
            took = time.perf_counter() - since
            if not leases:
                self._stop.wait(PAUSE)
                continue
            done = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
            self._engine.apply(Settle(done)).wait(PATIENCE)
            with self._lock:
                self._pace.claims.append(took)
                self._pace.jobs += len(leases)

    def _keep(self) -> None:
        """Keep house, as workers do."""
        while not self._stop.wait(1.0):
            self._engine.maintain().wait(PATIENCE)


@contextmanager
def held(server: str) -> Iterator[None]:
    """Keep a snapshot open, in a session that does nothing."""
    with psycopg.connect(server) as session:
        session.execute("begin isolation level repeatable read")
        session.execute("select count(*) from pg_class")
        yield


def paces(server: str, url: str, seconds: float) -> tuple[Pace, Pace]:
    """Return the pace before a snapshot is held, and at the end of the time for which it is.

    Args:
        server: the URL of the database in which it is held.
        url: the server and schema of the jobs.
        seconds: how long all of it may take.
    """
    part = seconds / QUARTER
    with Pressure(url) as pressure:
        before = pressure.measure(part)
        with held(server):
            pressure.measure(seconds - 2 * part)
            return before, pressure.measure(part)


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the pace before, and the pace while a snapshot is held."""
    server = postgresql.server()
    with postgresql.new_schema(server) as env:
        before, after = paces(server, env["HEADRACE_URL"], plan.snapshot_seconds)
    what = f"PostgreSQL, {OFFERED:,} jobs/s offered"
    yield Figure(f"{what}, no snapshot held", measured=str(before), durability="power")
    kept, slower = after.rate / before.rate, after.p99 / before.p99
    yield Figure(
        what=f"{what}, the last quarter of {plan.snapshot_seconds:.0f} s with a snapshot held",
        target=f">= {KEPT_SHARE} of the rate, p99 <= {SLOWDOWN} times as long",
        measured=str(after),
        ratio=f"{kept:.2f}; {slower:.2f}",
        durability="power",
        met=kept >= KEPT_SHARE and slower <= SLOWDOWN,
    )
