"""Which plan each write has, which jobs it is about, and what it is worth a hint about."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from headrace.engines.postgresql.plan import Moment
from headrace.engines.postgresql.writes import locks_groups, plan_of
from headrace.record import State
from headrace.testing.steps import message
from headrace.write import (
    CancelJobs,
    Extend,
    Lease,
    Put,
    Send,
    Settle,
    Settlement,
    Write,
)
from tests.unit.engines.every_write import EVERY_WRITE, LEASE

ORDERED = replace(LEASE, message=message("a", order_key="k"))


def settled(lease: Lease, to: State) -> Settle:
    return Settle((Settlement(lease=lease, to=to),))


def test_every_write_has_a_plan() -> None:
    kinds = {type(write).__name__ for write in EVERY_WRITE}
    assert kinds == {kind.__name__ for kind in Write.__subclasses__()}
    for write in EVERY_WRITE:
        plan_of(write, Moment(0.0, 0.0)).close()


def test_what_is_no_write_is_refused() -> None:
    with pytest.raises(TypeError, match="is not a write this engine knows"):
        plan_of("send", Moment(0.0, 0.0))  # type: ignore[arg-type] # that is the point


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
