"""Writes are values: equal by what they say, and unchangeable."""

from __future__ import annotations

import msgspec
import pytest

from headrace import write
from headrace.cargo import Cargo
from headrace.message import VERSION, Message
from headrace.record import Failure, QueueLimits, State
from headrace.write import (
    CancelJobs,
    Changed,
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

MESSAGE = Message(v=VERSION, id="1", task="t", body=msgspec.Raw(b"{}"))
LEASE = Lease(message=MESSAGE, token=3, claim="worker.ab")

ONE_OF_EACH: list[Write[object]] = [
    Send((MESSAGE,)),
    Extend((LEASE,), 30.0),
    Settle((Settlement(lease=LEASE, to=State.SUCCEEDED),)),
    Reclaim("worker", Failure(cause="crash")),
    CancelJobs(("1",)),
    RetryJobs(("1",)),
    PurgeJobs(("1",)),
    EditJobs(("1",), priority=1),
    PauseQueue("q"),
    LimitQueue("q", QueueLimits(max_depth=1)),
    Put("k", b"v"),
    Delete("k"),
    Depart("headrace.move/out/1", 10, 1000),
    Restore(Cargo(token=3)),
]


def test_this_is_one_of_each() -> None:
    kinds = {value for value in vars(write).values() if isinstance(value, type)}
    writes = {kind for kind in kinds if issubclass(kind, Write)} - {Write}
    assert {type(each) for each in ONE_OF_EACH} == writes


@pytest.mark.parametrize("each", ONE_OF_EACH, ids=lambda each: type(each).__name__)
def test_a_write_is_a_value(each: Write[object]) -> None:
    names = each.__struct_fields__
    twin = type(each)(*[getattr(each, name) for name in names])
    assert twin == each
    with pytest.raises(AttributeError):
        setattr(each, names[0], None)
    with pytest.raises((AttributeError, TypeError)):
        each.surprise = 1  # type: ignore[attr-defined] # that is the point


def test_a_lease_is_about_the_job_of_its_message() -> None:
    assert LEASE.job_id == MESSAGE.id
    assert (LEASE.attempt, LEASE.lost) == (1, 0)


def test_changes_share_no_answers() -> None:
    one, two = Changed(), Changed()
    assert one == two
    assert one.states is not two.states


def test_an_attempt_counts_unless_it_is_said_not_to() -> None:
    assert Settlement(lease=LEASE, to=State.SCHEDULED).counted
    assert not Settle(()).strict
