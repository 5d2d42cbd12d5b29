"""How writes may be treated."""

from __future__ import annotations

from headrace.cargo import MOVE_PREFIX, Cargo
from headrace.engines.redis.treatment import accepts, moves, repeatable
from headrace.record import Failure, Record, State
from headrace.testing.steps import message
from headrace.write import (
    Depart,
    Extend,
    Lease,
    Put,
    Reclaim,
    Restore,
    Send,
    Settle,
    Settlement,
)

LEASE = Lease(message=message("a"), token=1, claim="w.1")
DONE = Settle((Settlement(lease=LEASE, to=State.SUCCEEDED),))
ARRIVAL = Restore(Cargo(jobs=(Record(message=message("d"), state=State.READY, accepted_at=1.0),)))
DEPARTURE = Depart(f"{MOVE_PREFIX}out/1", 9, 9)
SEND = Send((message("c"),))


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
