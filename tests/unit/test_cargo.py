"""Cargo survives its way through a store."""

from __future__ import annotations

import msgspec
import pytest

from headrace.cargo import Cargo, Keepsake, expiry, pack, timeless, unpack
from headrace.record import Attempt, Failure, Record, State
from headrace.testing.steps import message


def job(**fields: object) -> Record:
    """Return a record."""
    plain = Record(message=message("a"), state=State.READY, accepted_at=1000.0)
    return msgspec.structs.replace(plain, **fields)


@pytest.mark.parametrize("result", [None, b"null", b'{"n": 1.50, "big": 123456789012345678901}'])
def test_what_is_packed_comes_out_again(result: bytes | None) -> None:
    failure = Failure(cause="error", message="\x00 ✓", logs=("one", "two"))
    record = job(
        state=State.SUCCEEDED,
        result=None if result is None else msgspec.Raw(result),
        history=(Attempt(number=1, ended_at=5.0, failure=failure, counted=False),),
    )
    cargo = Cargo(token=7, jobs=(record,), entries=(Keepsake("k", b"\x00\xff", 3, 9.5),))
    found = unpack(pack(cargo))
    assert (found.token, found.entries) == (7, cargo.entries)
    (back,) = found.jobs
    assert type(back) is Record
    assert (back.result is None) == (result is None)
    assert back.result is None or bytes(back.result) == result
    assert msgspec.json.encode(back) == msgspec.json.encode(record)


def test_what_is_no_cargo_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack(b'{"jobs": 7}')


@pytest.mark.parametrize(
    ("fields", "moment"),
    [({}, None), ({"expires": 5.0}, 5.0), ({"expires_after": 5.0}, 1005.0)],
)
def test_expiry_is_a_moment(fields: dict[str, float], moment: float | None) -> None:
    record = job(message=message("a", **fields))
    assert expiry(record) == moment
    assert expiry(timeless(record)) is None
