"""A snapshot is read from what gateways say, of this version or a later one."""

from __future__ import annotations

import msgspec
import pytest

from headrace.client.snapshot import Page, Remark, Snapshot
from headrace.record import State


def test_a_snapshot_is_read_and_what_it_does_not_know_is_passed_over() -> None:
    told = (
        b'{"id":"1","state":"dead","task":"add","queue":"q","new":1,'
        b'"failure":{"cause":"expired","type":"","message":"","new":2}}'
    )
    job = msgspec.json.decode(told, type=Snapshot)
    assert (job.id, job.state, job.failure) == ("1", State.DEAD, Remark("expired"))


def test_a_snapshot_has_an_id_and_a_state() -> None:
    with pytest.raises(msgspec.ValidationError, match="state"):
        msgspec.json.decode(b'{"id":"1"}', type=Snapshot)


def test_an_empty_page_is_the_last_one() -> None:
    assert msgspec.json.decode(b'{"jobs":[]}', type=Page) == Page()
