"""Which plan each write has, which jobs it is about, and what it is worth a hint about."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from headrace.cargo import Cargo
from headrace.engine import Topic
from headrace.engines.postgresql.plan import Moment
from headrace.engines.postgresql.writes import ids_of, locks_groups, plan_of, topics_of
from headrace.record import Failure, QueueLimits, State
from headrace.testing.steps import message
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
    (Depart("k", limit=10, nbytes=1000), {"finished", "ready"}),
    (Restore(Cargo(token=1)), {"finished", "ready"}),
]


@pytest.mark.parametrize(("write", "topics"), TOPICS, ids=lambda value: type(value).__name__)
def test_each_write_hints_at_what_it_may_have_changed(
    write: Write[Any], topics: set[Topic]
) -> None:
    assert set(topics_of(write)) == topics


def test_every_write_has_a_plan() -> None:
    kinds = {type(write).__name__ for write, _ in TOPICS}
    assert kinds == {kind.__name__ for kind in Write.__subclasses__()}
    for write, _ in TOPICS:
        plan_of(write, Moment(0.0, 0.0)).close()


def test_what_is_no_write_is_refused() -> None:
    with pytest.raises(TypeError, match="is not a write this engine knows"):
        plan_of("send", Moment(0.0, 0.0))  # type: ignore[arg-type] # that is the point


def test_the_jobs_of_an_unknown_outcome_are_named() -> None:
    other = message("b")
    writes: list[Write[Any]] = [
        Send((other,)),
        settled(LEASE, State.SUCCEEDED),
        Extend((LEASE,), 1.0),
        CancelJobs(("x",)),
        Put("k", b""),
    ]
    assert ids_of(writes) == [other.id, LEASE.job_id, LEASE.job_id, "x"]


def test_what_locks_groups_is_told_apart() -> None:
    ordered = Send((message("a"), message("b", order_key="k")))
    plain = (
        Send((message("a"),)),
        settled(LEASE, State.DEAD),
        Put("k", b""),
        Extend((LEASE,), 1.0),
    )
    assert [locks_groups(write) for write in plain] == [False] * 4
    assert locks_groups(ordered)
    assert locks_groups(settled(ORDERED, State.SUCCEEDED))
    assert locks_groups(CancelJobs(("a",)))
