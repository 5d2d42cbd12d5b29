"""Whom writes concern, and how they may be treated."""

from __future__ import annotations

import pytest

from headrace.cargo import MOVE_PREFIX, Cargo
from headrace.engines.redis.concerns import accepts, ids_of, moves, repeatable, topics_of
from headrace.record import Failure, QueueLimits, Record, State
from headrace.testing.steps import job_id, message
from headrace.write import (
    CancelJobs,
    Depart,
    Extend,
    Lease,
    LimitQueue,
    PurgeJobs,
    Put,
    Reclaim,
    Restore,
    Send,
    Settle,
    Settlement,
    Write,
)

LEASE = Lease(message=message("a"), token=1, claim="w.1")
GROUPED = Lease(message=message("b", order_key="g"), token=1, claim="w.1")
DONE = Settle((Settlement(lease=LEASE, to=State.SUCCEEDED),))
ARRIVAL = Restore(Cargo(jobs=(Record(message=message("d"), state=State.READY, accepted_at=1.0),)))
DEPARTURE = Depart(f"{MOVE_PREFIX}out/1", 9, 9)
SEND = Send((message("c"),))


@pytest.mark.parametrize(
    ("writes", "topics"),
    [
        ([SEND], ("ready",)),
        ([DONE], ("finished",)),
        ([Settle((Settlement(lease=GROUPED, to=State.SUCCEEDED),))], ("finished", "ready")),
        ([Settle((Settlement(lease=LEASE, to=State.READY),))], ("finished", "ready")),
        ([CancelJobs(("a",))], ("finished", "ready", "cancel")),
        ([Put("k", b""), SEND], ("stored", "ready")),
        ([DEPARTURE], ("finished", "ready")),
        ([ARRIVAL], ("finished", "ready")),
        ([LimitQueue("q", QueueLimits()), Extend((), 1.0)], ()),
    ],
)
def test_others_are_told_what_may_matter_to_them(
    writes: list[Write[object]], topics: tuple[str, ...]
) -> None:
    assert topics_of(writes) == topics


def test_the_jobs_are_named() -> None:
    assert ids_of([SEND, DONE, Extend((GROUPED,), 1.0), PurgeJobs(("x",)), ARRIVAL]) == [
        job_id("c"),
        job_id("a"),
        job_id("b"),
        "x",
        job_id("d"),
    ]


def test_only_new_things_are_refused_by_a_full_server() -> None:
    assert accepts([SEND, Put("k", b"")])
    assert accepts([ARRIVAL, DONE])
    assert not accepts([SEND, DONE])
    assert not accepts([Put(f"{MOVE_PREFIX}to", b"")])
    assert not accepts([DEPARTURE])
    assert not accepts([])


def test_what_a_lease_protects_may_be_repeated() -> None:
    assert repeatable([DONE, Extend((), 1.0), Reclaim("w", Failure(cause="x"))])
    assert not repeatable([DONE, SEND])


def test_cargo_takes_the_longer_script() -> None:
    assert moves([SEND, DEPARTURE])
    assert moves([ARRIVAL])
    assert not moves([SEND, DONE, Put("k", b"")])
