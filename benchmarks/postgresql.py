"""Headrace on a PostgreSQL server, beside the raw ceiling of the same server.

The server is the one that HEADRACE_BENCH_POSTGRESQL names, or else that of this machine's standard
port. Every measurement has a schema of its own, which is dropped afterwards.

HEADRACE_BENCH_PGBOUNCER names a pooler in transaction mode before the same database. Nobody listens
through one, so jobs begin within `poll`: its latency is a figure apart.
"""

from __future__ import annotations

import getpass
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
from psycopg import sql

from benchmarks import raw_postgres
from benchmarks.drain import KINDS, run_all
from benchmarks.latency import WARM_UP_JOBS, idle_share
from benchmarks.ours import produce, worker
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, NotMeasuredError, Rates, percentile
from benchmarks.stamps import recording
from benchmarks.workers import environment, running
from headrace.engines.postgresql import PostgreSQLEngine

VARIABLE = "HEADRACE_BENCH_POSTGRESQL"
POOLER = "HEADRACE_BENCH_PGBOUNCER"
SUBMIT_SHARE = 0.5
DRAIN_SHARE = 0.4
P50_MS = 3.0
CONCURRENCY = 10
POOLED_SAMPLES = 20
POLL_SECONDS = 1.0
ENGINES = 20
SERVER_SHARE = 0.05


def server() -> str:
    """Return the server's URL.

    Raises:
        NotMeasuredError: there is none.
    """
    url = os.environ.get(VARIABLE, f"postgresql://{getpass.getuser()}@127.0.0.1/test")
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        raise NotMeasuredError(f"no PostgreSQL server answers; {VARIABLE} names one") from None
    return url


@contextmanager
def new_schema(url: str) -> Iterator[dict[str, str]]:
    """Give the environment of processes that share one new schema."""
    name = f"headrace_bench_{uuid.uuid4().hex[:8]}"
    try:
        yield {"HEADRACE_URL": f"{url}{'&' if '?' in url else '?'}schema={name}"}
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            drop = sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name))
            connection.execute("set client_min_messages = error")
            connection.execute(drop)


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield the ceiling, the rates beside it, and the latency."""
    url = server()
    ceiling = raw_postgres.measure(url, plan.jobs, plan.repetitions)
    yield Figure("PostgreSQL, raw ceiling: send", measured=str(ceiling.send), durability="power")
    yield Figure(
        "PostgreSQL, raw ceiling: process (claim, run, settle)",
        measured=str(ceiling.process),
        durability="power",
    )
    rounds = [fill_and_drain(url, plan.jobs) for _ in range(plan.repetitions)]
    filled = Rates(tuple(filled for filled, _ in rounds))
    drained = Rates(tuple(drained for _, drained in rounds))
    yield _share("submit in batches of 500, one process", filled, ceiling.send, SUBMIT_SHARE)
    yield _share(
        f"drain {plan.jobs:,} async def no-op jobs, one worker process, results stored",
        drained,
        ceiling.process,
        DRAIN_SHARE,
    )
    yield from latency(url, plan)
    yield pooled(url, plan)
    yield idle_server(url, plan)


def _share(what: str, ours: Rates, raw: Rates, share: float) -> Figure:
    ratio = ours.median / raw.median
    return Figure(
        what=f"PostgreSQL: {what}",
        target=f">= {share} of the raw rate",
        measured=str(ours),
        ratio=f"{ratio:.2f}",
        durability="power",
        met=ratio >= share,
    )


def fill_and_drain(url: str, jobs: int) -> tuple[float, float]:
    """Submit jobs to a new schema, then start one worker process on it; return both rates."""
    task, concurrency = KINDS["async def"]
    with new_schema(url) as env, recording() as stamps:
        seconds = float(produce("batches", task, jobs, env))
        times = run_all([worker(concurrency)], stamps, jobs, env)
    return jobs / seconds, jobs / (times[-1] - times[0])


def latency(url: str, plan: Plan) -> Iterator[Figure]:
    """Yield how soon a job starts in another process, and what waiting costs that process."""
    with new_schema(url) as env, recording() as stamps:
        shared = {**env, **stamps.environment}
        with running([worker(CONCURRENCY)], environment(shared)) as workers:
            produce("single", "noop", WARM_UP_JOBS, shared)
            waits = produce("single", "noop", plan.samples, shared)
            idle = idle_share(workers, plan.idle_seconds)
    p50, p99 = (percentile(waits, share) * 1e3 for share in (0.5, 0.99))
    yield Figure(
        what=f"PostgreSQL: submit to start in another process; {plan.samples} one at a time",
        target=f"p50 <= {P50_MS} ms",
        measured=f"p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        durability="power",
        met=p50 <= P50_MS,
    )
    yield Figure(what="PostgreSQL: CPU of an idle worker", measured=f"{idle:.2%}")


def pooled(url: str, plan: Plan) -> Figure:
    """Return how soon a job starts when submitter and worker are behind a pooler."""
    what = "PostgreSQL: submit to start in another process, through a pooler"
    pooler = os.environ.get(POOLER)
    if pooler is None:
        return Figure(what, missing=f"{POOLER} names no pooler")
    samples = min(POOLED_SAMPLES, plan.samples)
    with new_schema(url) as direct, recording() as stamps:
        schema = direct["HEADRACE_URL"].rpartition("schema=")[2]
        env = {"HEADRACE_URL": f"{pooler}{'&' if '?' in pooler else '?'}schema={schema}"}
        shared = {**env, **stamps.environment}
        with running([worker(CONCURRENCY)], environment(shared)):
            produce("single", "noop", 1, shared)
            waits = produce("single", "noop", samples, shared)
    p50, worst = percentile(waits, 0.5), max(waits)
    return Figure(
        what=f"{what}; {samples} one at a time",
        target=f"p50 <= the poll interval of {POLL_SECONDS} s and a tenth for the way",
        measured=f"p50 {p50 * 1e3:.0f} ms, slowest {worst * 1e3:.0f} ms",
        durability="power",
        met=p50 <= 1.1 * POLL_SECONDS,
    )


def idle_server(url: str, plan: Plan) -> Figure:
    """Return what engines that wait for work cost the server, if it is on this machine."""
    what = f"PostgreSQL: CPU of the server, {ENGINES} idle engines"
    with new_schema(url) as env, psycopg.connect(url, autocommit=True) as asker:
        engines = [PostgreSQLEngine(env["HEADRACE_URL"]) for _ in range(ENGINES)]
        for engine in engines:
            engine.open().wait(30)
        stop = threading.Event()
        threads = [
            threading.Thread(target=work, args=(engine, stop))
            for engine in engines
            for work in (_claim_on, _maintain_on)
        ]
        for thread in threads:
            thread.start()
        try:
            time.sleep(2 * POLL_SECONDS)
            before, start = _server_seconds(asker), time.monotonic()
            time.sleep(plan.idle_seconds)
            share = (_server_seconds(asker) - before) / (time.monotonic() - start)
        except psutil.Error:
            return Figure(what, missing="the server is not on this machine, or another user's")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            for engine in engines:
                engine.close().wait(30)
    return Figure(
        what,
        target=f"<= {SERVER_SHARE:.0%} of a core",
        measured=f"{share:.2%}",
        met=share <= SERVER_SHARE,
    )


def _claim_on(engine: PostgreSQLEngine, stop: threading.Event) -> None:
    while not stop.is_set():
        engine.lease(["default"], limit=10, seconds=30.0, holder="idle", wait=POLL_SECONDS).wait()


def _maintain_on(engine: PostgreSQLEngine, stop: threading.Event) -> None:
    while not stop.wait(POLL_SECONDS * random.uniform(0.75, 1.25)):
        engine.maintain().wait()


def _server_seconds(asker: psycopg.Connection[tuple[Any, ...]]) -> float:
    """Return the CPU time of the server's processes that serve this database's engines."""
    rows = asker.execute(
        "select pid from pg_stat_activity where application_name = 'headrace'"
        " and datname = current_database()"
    ).fetchall()
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for (pid,) in rows)
