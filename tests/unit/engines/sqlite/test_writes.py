"""Which plan each write has, which jobs it is about, and what it is worth a hint about."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from headrace.cargo import Cargo
from headrace.engines.sqlite.writes import plan_of, takes_on
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import message
from headrace.write import (
    Depart,
    Lease,
    Put,
    Restore,
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
        plan_of(write, ManualClock()).close()


def test_what_is_no_write_is_refused() -> None:
    with pytest.raises(TypeError, match="is not a write this engine knows"):
        plan_of("send", ManualClock())  # type: ignore[arg-type] # that is the point


@pytest.mark.parametrize(
    ("writes", "new"),
    [
        ([Send(())], True),
        ([Put("k", b""), Restore(Cargo())], True),
        ([Send(()), settled(LEASE, State.SUCCEEDED)], False),
        ([Depart("k", 1, 1)], False),
    ],
)
def test_new_work_is_told_from_what_ends_or_keeps_work(
    writes: list[Write[Any]], *, new: bool
) -> None:
    assert takes_on(writes) is new
