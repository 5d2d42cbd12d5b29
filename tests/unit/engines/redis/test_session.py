"""A session serves one process, and leaves nothing when it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import msgspec
import pytest

from headrace.clock import Clock, SystemClock
from headrace.engines.redis.address import Address
from headrace.engines.redis.hints import Hints
from headrace.engines.redis.session import Session
from headrace.errors import EngineClosed
from headrace.ids import Ids
from headrace.testing import ManualClock


def session(address: Address, clock: Clock) -> Session:
    ids = Ids()
    return Session(address, Hints(address, ids), clock=clock, ids=ids, poll=0.1, patience=5.0)


@pytest.fixture
def opened(address: Address) -> Iterator[Session]:
    made = session(address, SystemClock())
    yield made
    made.close()


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("headrace")}


def test_the_servers_clock_is_asked_unless_a_test_moves_the_time(
    opened: Session, address: Address
) -> None:
    opened.floor = 9
    assert msgspec.msgpack.decode(opened.header("note", "run")) == [False, False, "note", "run", 9]
    clock = ManualClock()
    moved = session(address, clock)
    told = msgspec.msgpack.decode(moved.header("", ""))
    moved.close()
    assert told == [clock.now(), clock.monotonic(), "", "", 0]


def test_it_hears_hints_only_when_somebody_waits(opened: Session) -> None:
    assert "headrace-hints" not in threads()
    opened.listen()
    opened.listen()
    assert "headrace-hints" in threads()


def test_closing_ends_its_threads(address: Address) -> None:
    before = threads()
    made = session(address, SystemClock())
    made.listen()
    assert made.look(lambda asker: asker.call(("PING",))).wait(5) == b"PONG"
    made.close()
    assert threads() == before
    with pytest.raises(EngineClosed):
        made.look(lambda asker: asker.call(("PING",))).wait(5)


def test_it_knows_whose_it_is(opened: Session) -> None:
    own = opened.inherited
    child = os.fork()
    if child == 0:
        os._exit(0 if opened.inherited else 1)
    assert not own
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
