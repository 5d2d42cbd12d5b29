"""Jobs of every kind go from a file to a server and back, and are what they were."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.clock import SystemClock
from headrace.engine import Engine
from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.ids import Ids
from headrace.message import Message, Retention
from headrace.mover import Mover
from headrace.record import Failure, QueueLimits, Record, State
from headrace.testing.steps import WORKER, apply, claim, commit, message
from headrace.write import (
    CancelJobs,
    EditJobs,
    LimitQueue,
    PauseQueue,
    Put,
    Reclaim,
    RetryJobs,
    Send,
    Settle,
    Settlement,
)
from tests.postgresql import Place, some_place

ROUNDS = 200
PER_ROUND = 9
QUEUES = ("default", "mail", "reports")
FAILURE = Failure(cause="failed", message="naïve \0 text")
SECONDS = 60.0


@pytest.fixture
def place() -> Iterator[Place]:
    with some_place() as place:
        yield place


def opened(engine: Engine) -> Engine:
    engine.open().wait(SECONDS)
    return engine


def waiting(number: int) -> tuple[Message, ...]:
    """Return jobs of the kinds that differ before anybody runs them."""
    queue = QUEUES[number % 3]
    names = (f"{kind}-{number}" for kind in count())
    plain = {"queue": queue, "body": msgspec.Raw(b'{"text":"na\\u00efve \\u0000","n":1.50}')}
    return (
        message(next(names), **plain, tags=("blue", f"t{number % 7}")),
        message(next(names), **plain, priority=number % 5 - 2),
        message(next(names), **plain, delay=86_400.0),
        message(next(names), **plain, order_key=f"k{number % 11}"),
        message(next(names), **plain, order_key=f"k{number % 11}", order_on_wait="skip"),
        message(next(names), **plain, unique_key=f"u{number}"),
        message(next(names), **plain, expires_after=86_400.0),
        message(next(names), **plain, retention=Retention(succeeded=90_000.0, dead=95_000.0)),
        message(next(names), **plain, attempt=3),
    )


def run_some(engine: Engine) -> None:
    """Let a part of the jobs succeed, fail, be given up, be lost, cancelled, edited, redriven."""
    leases = claim(engine, ROUNDS, queues=QUEUES)
    outcomes = (
        (State.SUCCEEDED, None, msgspec.Raw(b'{"n":2.50,"t":"\\u0000"}')),
        (State.SUCCEEDED, None, msgspec.Raw(b"null")),
        (State.DEAD, FAILURE, None),
        (State.SCHEDULED, FAILURE, None),
        (State.READY, None, None),
    )
    settlements = [
        Settlement(lease=lease, to=to, failure=failure, result=result, delay=3600.0)
        for number, lease in enumerate(leases[:-20])
        for to, failure, result in [outcomes[number % len(outcomes)]]
    ]
    apply(engine, Settle(tuple(settlements)))
    apply(engine, Reclaim(WORKER, FAILURE))
    # One that expires would leave without its expiry, as it no longer does when it is redriven.
    dead = [
        s.lease.job_id
        for s in settlements
        if s.to is State.DEAD and s.lease.message.expires_after is None
    ]
    apply(engine, RetryJobs(tuple(dead[:20])))
    ids = [message(f"{kind}-{number}").id for kind in (0, 1, 2) for number in range(150, 170)]
    apply(engine, CancelJobs(tuple(ids[:20]), "enough"))
    apply(engine, EditJobs(tuple(ids[20:40]), priority=9))
    apply(engine, EditJobs(tuple(ids[40:]), run_at=4e9))


def filled(engine: Engine) -> list[str]:
    """Fill an engine; return the ids of its jobs."""
    jobs = [job for number in range(ROUNDS) for job in waiting(number)]
    apply(engine, Send(tuple(jobs)))
    run_some(engine)
    for number in range(50):
        apply(engine, Put(f"entry-{number}", bytes(range(number)), expires_after=9e5))
    commit(engine, LimitQueue("mail", QueueLimits(max_depth=9)), PauseQueue("reports"))
    return [job.id for job in jobs]


def told(engine: Engine, ids: list[str]) -> dict[str, Any]:
    """Return all that is known of jobs, but for what a pause explains."""
    known: dict[str, Record] = {}
    for start in range(0, len(ids), 500):
        known |= engine.get(ids[start : start + 500]).wait(SECONDS)
    documents = msgspec.json.decode(msgspec.json.encode(known))
    for document in documents.values():
        document.pop("reason", None)
    found: dict[str, Any] = documents
    return found


def counted(engine: Engine) -> dict[str, tuple[int, int, bool, QueueLimits]]:
    queues = engine.depth().wait(SECONDS)
    return {q.name: (q.depth, q.scheduled, q.paused, q.limits) for q in queues}


def move(source: Engine, target: Engine) -> None:
    clock = SystemClock()
    mover = Mover(source, target, clock, Ids(clock), SECONDS)
    mover.begin()
    assert mover.run(0.0, lambda _: None) == {}


def plain_order(engine: Engine, ids: list[str]) -> tuple[list[str], list[str]]:
    """Return the jobs of a queue that depend on no others: as they should be claimed, and as are.

    Those that lost a lease are given alone, before others.
    """
    apply(engine, PauseQueue("default", paused=False))
    place = {job_id: number for number, job_id in enumerate(ids)}
    ready = [
        job
        for start in range(0, len(ids), 500)
        for job in engine.get(ids[start : start + 500]).wait(SECONDS).values()
        if job.state is State.READY and _plain(job.message) and not job.lost
    ]
    ready.sort(key=lambda job: (-job.message.priority, place[job.id]))
    claimed: list[str] = []
    while leases := claim(engine, 5000):
        claimed += [one.job_id for one in leases if _plain(one.message) and not one.lost]
    return [job.id for job in ready], claimed


def _plain(job: Message) -> bool:
    return job.queue == "default" and job.order_key is None


def test_there_and_back(place: Place, tmp_path: Path) -> None:
    first = opened(SQLiteEngine(tmp_path / "first.db", ballast=0))
    server = opened(PostgreSQLEngine(place.url, allow_unsafe_server=True))
    last = opened(SQLiteEngine(tmp_path / "last.db", ballast=0))
    try:
        ids = filled(first)
        before, counts = told(first, ids), counted(first)
        assert len(before) == ROUNDS * PER_ROUND
        kinds = {job["state"] for job in before.values()}
        assert kinds == {"ready", "scheduled", "succeeded", "dead", "cancelled"}
        entries = first.scan("entry-").wait(SECONDS)
        for source, target in ((first, server), (server, last)):
            move(source, target)
            assert told(source, ids) == {}
            assert told(target, ids) == before
            assert counted(target) == counts
            assert target.scan("entry-").wait(SECONDS) == entries
        expected, claimed = plain_order(last, ids)
        assert len(expected) > ROUNDS
        assert claimed == expected
    finally:
        for engine in (first, server, last):
            engine.close().wait(SECONDS)
