"""A move from one engine to another and back loses, adds and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.engine import Engine
from headrace.engines.redis import RedisEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.ids import Ids
from headrace.message import Retention
from headrace.mover import Mover, Step
from headrace.record import Failure, Filter, QueueLimits, State
from headrace.testing import ManualClock
from headrace.testing.move_suite import told
from headrace.testing.steps import (
    PATIENCE,
    WORKER,
    apply,
    bury,
    claim,
    claim_one,
    depth,
    fail,
    job_id,
    labels,
    send,
    settle,
)
from headrace.write import (
    CancelJobs,
    EditJobs,
    LimitQueue,
    Put,
    Reclaim,
    RetryJobs,
    Settle,
    Settlement,
)
from tests import redis_server

EACH = 300
KEPT = Retention(succeeded=1e6, dead=2e6)
RESULTS = (b"null", b'{"n":[1,2.50,12345678901234567890],"empty":[]}', b'"\\u00e9/\\""')


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def files(clock: ManualClock, tmp_path: Path) -> Iterator[list[Engine]]:
    """Give a source, its twin, and another place for the twin."""
    engines: list[Engine] = [
        SQLiteEngine(tmp_path / f"{name}.db", clock=clock, ballast=0, durability="crash")
        for name in ("source", "twin", "beyond")
    ]
    for engine in engines:
        engine.open().wait(PATIENCE)
    yield engines
    for engine in engines:
        engine.close().wait(PATIENCE)


@pytest.fixture
def redis(clock: ManualClock) -> Iterator[Engine]:
    with redis_server.keys() as url:
        engine = RedisEngine(url, clock=clock, ids=Ids(clock, seed=2), allow_volatile_server=True)
        engine.open().wait(PATIENCE)
        yield engine
        engine.close().wait(PATIENCE)


def fill(engine: Engine, clock: ManualClock) -> None:
    """Leave jobs of every kind behind, the finished and the tried ones first."""
    for n in range(EACH):
        send(engine, f"ok{n}", f"bad{n}", f"try{n}", expires_after=9e3, tags=("blue", "ä"))
        settle(engine, claim_one(engine), result=msgspec.Raw(RESULTS[n % len(RESULTS)]))
        bury(engine, claim_one(engine))
        fail(engine, claim_one(engine), delay=50.0 + n)
    for n in range(0, EACH, 3):
        # They no longer expire.
        apply(engine, RetryJobs((job_id(f"bad{n}"),)))
        apply(engine, EditJobs((job_id(f"bad{n}"),), run_at=clock.now() + 500 + n))
    for n in range(EACH):
        body = {"priority": 9, "expires": 1, "text": '}],"priority":8'}
        send(engine, f"one{n}", body=msgspec.Raw(msgspec.json.encode(body)))
        send(engine, f"top{n}", priority=n % 7, headers={"a/b": '",\\'})
        send(engine, f"due{n}", delay=100.0 + n, expires=clock.now() + 1e4, queue="other")
        send(engine, f"in{n}", order_key=f"k{n % 5}", lease=9.0, retention=KEPT)
        waits = {"order_on_wait": "skip", "delay": 10.0 * (n % 2)}
        send(engine, f"off{n}", order_key=f"k{n % 5}", **waits)
        send(engine, f"key{n}", unique_key=f"u{n}", priority=3, attempt=n % 3)
        apply(engine, Put(f"entry/{n:03d}", bytes(range(n % 256)), expires_after=n * 50.0 or None))
    apply(engine, Put("entry/000", b"again"))
    apply(engine, CancelJobs(tuple(job_id(f"key{n}") for n in range(0, EACH, 2)), "enough"))
    apply(engine, EditJobs(tuple(job_id(f"one{n}") for n in range(0, EACH, 2)), priority=-5))
    apply(engine, EditJobs(tuple(job_id(f"top{n}") for n in range(0, EACH, 2)), priority=0))
    claim(engine, 9)
    apply(engine, Reclaim(WORKER, Failure(cause="lease-lost", message="gone")))


def seen(engine: Engine) -> list[dict[str, Any]]:
    """Return all that is told of jobs and entries, but for the order in which they are listed."""
    found, cursor = [], None
    while True:
        page = engine.find(Filter(), limit=500, cursor=cursor).wait(PATIENCE)
        found += [told(job) for job in page.records]
        cursor = page.cursor
        if cursor is None:
            break
    found.sort(key=lambda job: job["message"]["id"])
    entries = engine.scan("entry/", limit=1000).wait(PATIENCE)
    return [*found, *map(msgspec.to_builtins, entries)]


def facts(engine: Engine) -> list[tuple[int, ...]]:
    return [
        (at.ready, at.scheduled, at.running, at.bytes)
        for at in (depth(engine, "default"), depth(engine, "other"))
    ]


def run(engine: Engine) -> list[str]:
    """Run what may run now, and return in which order."""
    ran: list[str] = []
    for queue in ("default", "other"):
        while leases := claim(engine, 50, queues=(queue,)):
            ran += labels(leases)
            done = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
            apply(engine, Settle(done))
    return ran


def move(source: Engine, target: Engine, clock: ManualClock) -> list[Step]:
    """Move everything."""
    mover, steps = Mover(source, target, clock, Ids(clock), PATIENCE), list[Step]()
    mover.begin()
    assert mover.run(0.0, steps.append) == {}
    return steps


def test_redis_brings_back_what_was_there(
    files: list[Engine], redis: Engine, clock: ManualClock
) -> None:
    source, twin, beyond = files
    for engine in (source, twin):
        fill(engine, clock)
        apply(engine, LimitQueue("other", QueueLimits(max_depth=1)))
    token = claim_one(source).token
    apply(source, Reclaim(WORKER, Failure(cause="drained"), counted=False))
    claim_one(twin)
    apply(twin, Reclaim(WORKER, Failure(cause="drained"), counted=False))
    move(twin, beyond, clock)
    steps = move(source, redis, clock)
    assert sum(step.jobs for step in steps) == 9 * EACH
    assert sum(step.entries for step in steps) == EACH
    assert seen(redis) == seen(beyond)
    assert facts(redis) == facts(beyond)
    again = move(redis, source, clock)
    assert sum(step.jobs for step in again) == 9 * EACH
    assert seen(redis) == []
    assert facts(redis) == [(0, 0, 0, 0)] * 2
    assert seen(source) == seen(beyond)
    assert facts(source) == facts(beyond)
    assert claim_one(source).token > token
    claim_one(beyond)
    ran = 0
    for _ in range(9):
        here = run(source)
        assert here == run(beyond)
        ran += len(here)
        clock.advance(100)
    assert ran > 5 * EACH
