"""What others are told of a write, and which jobs it is about."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from headrace.cargo import MOVE_PREFIX, Cargo
from headrace.concerns import ids_of, topics_of
from headrace.engine import Topic
from headrace.record import Failure, QueueLimits, Record, State
from headrace.testing.steps import job_id, message
from headrace.write import (
    CancelJobs,
    Delete,
    Depart,
    EditJobs,
    Extend,
    Lease,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    Put,
    Reclaim,
    Restore,
    RetryJobs,
    Send,
    Settle,
    Settlement,
    Write,
)

LEASE = Lease(message=message("a"), token=1, claim="w.1")
ORDERED = replace(LEASE, message=message("a", order_key="k"))

GROUPED = Lease(message=message("b", order_key="g"), token=1, claim="w.1")
DONE = Settle((Settlement(lease=LEASE, to=State.SUCCEEDED),))
ARRIVAL = Restore(Cargo(jobs=(Record(message=message("d"), state=State.READY, accepted_at=1.0),)))
DEPARTURE = Depart(f"{MOVE_PREFIX}out/1", 9, 9)
SEND = Send((message("c"),))


def settled(lease: Lease, to: State) -> Settle:
    return Settle((Settlement(lease=lease, to=to),))


TOPICS: list[tuple[Write[Any], set[Topic]]] = [
    (Send((message("a"),)), {"ready"}),
    (settled(LEASE, State.SUCCEEDED), {"finished"}),
    (settled(ORDERED, State.SUCCEEDED), {"finished", "ready"}),
    (settled(LEASE, State.READY), {"finished", "ready"}),
    (Extend((LEASE,), 30.0), set()),
    (Reclaim("w", Failure(cause="crash")), {"finished", "ready"}),
    (CancelJobs(("a",)), {"finished", "ready", "cancel"}),
    (RetryJobs(("a",)), {"ready"}),
    (PurgeJobs(("a",)), {"finished", "ready"}),
    (EditJobs(("a",)), {"ready"}),
    (PauseQueue("q"), {"ready"}),
    (LimitQueue("q", QueueLimits()), set()),
    (Put("k", b""), {"stored"}),
    (Delete("k"), {"stored"}),
    (Depart("k", 1, 1), {"finished", "ready"}),
    (Restore(Cargo()), {"finished", "ready"}),
]


@pytest.mark.parametrize(("write", "topics"), TOPICS, ids=lambda value: type(value).__name__)
def test_each_write_hints_at_what_it_may_have_changed(
    write: Write[Any], topics: set[Topic]
) -> None:
    assert set(topics_of([write])) == topics


def test_every_write_is_known() -> None:
    kinds = {type(write).__name__ for write, _ in TOPICS}
    assert kinds == {kind.__name__ for kind in Write.__subclasses__()}


def test_the_jobs_of_an_unknown_outcome_are_named() -> None:
    other = message("b")
    writes: list[Write[Any]] = [
        Send((other,)),
        settled(LEASE, State.SUCCEEDED),
        Extend((LEASE,), 1.0),
        CancelJobs(("x",)),
        Put("k", b""),
        Restore(Cargo(jobs=(Record(message=other, state=State.READY, accepted_at=1.0),))),
    ]
    assert ids_of(writes) == [other.id, LEASE.job_id, LEASE.job_id, "x", other.id]


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
def test_each_topic_is_told_once_and_in_order(
    writes: list[Write[object]], topics: tuple[str, ...]
) -> None:
    assert topics_of(writes) == topics


def test_the_jobs_are_named_in_order() -> None:
    assert ids_of([SEND, DONE, Extend((GROUPED,), 1.0), PurgeJobs(("x",)), ARRIVAL]) == [
        job_id("c"),
        job_id("a"),
        job_id("b"),
        "x",
        job_id("d"),
    ]
