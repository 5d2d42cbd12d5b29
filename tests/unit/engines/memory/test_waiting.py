"""Leases that wait: served in their order, and looked after while anybody waits."""

from __future__ import annotations

import threading

import pytest

from headrace.engines.memory.waiting import Waiting
from headrace.errors import EngineClosed
from headrace.reply import Reply, resolve_all
from headrace.testing import ManualClock
from headrace.testing.steps import message
from headrace.write import Lease

LEASES = tuple(Lease(message=message(label), token=1, claim="w.1") for label in ("a", "b"))


class Room:
    """A waiting room beside a shelf of leases."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clock = ManualClock()
        self.shelf: list[Lease] = []
        self.waiting = Waiting(self.lock, self.clock, self.look)

    def take(self) -> tuple[Lease, ...]:
        return (self.shelf.pop(0),) if self.shelf else ()

    def look(self) -> None:
        with self.lock:
            served = self.waiting.serve()
        resolve_all(served)

    def enter(self, seconds: float = 60.0) -> Reply[tuple[Lease, ...]]:
        with self.lock:
            return self.waiting.add(self.take, seconds)

    def empty(self) -> bool:
        """Return whether nobody waits, once the thread has seen it."""
        thread = self.waiting._thread
        if thread is not None:
            thread.join(5)
        return self.waiting._thread is None


@pytest.fixture
def room() -> Room:
    return Room()


def test_who_came_first_is_served_first(room: Room) -> None:
    first, second = room.enter(), room.enter()
    room.shelf += LEASES
    room.look()
    assert first.wait(5) == LEASES[:1]
    assert second.wait(5) == LEASES[1:]
    assert room.empty()


def test_nobody_waits_longer_than_he_wanted(room: Room) -> None:
    short, long = room.enter(1.0), room.enter(60.0)
    room.clock.advance(2)
    assert short.wait(5) == ()
    assert not long.done
    room.clock.advance(60)
    assert long.wait(5) == ()
    assert room.empty()


def test_who_has_given_up_takes_nothing(room: Room) -> None:
    gone, stays = room.enter(), room.enter()
    gone.resolve(())
    room.shelf += LEASES[:1]
    assert stays.wait(5) == LEASES[:1]
    assert gone.wait(0) == ()


def test_everybody_is_sent_away(room: Room) -> None:
    reply = room.enter()
    with room.lock:
        dismissed = room.waiting.dismiss()
    resolve_all(dismissed)
    assert isinstance(reply.error, EngineClosed)
    assert room.empty()


def test_the_thread_comes_back_with_the_next_who_waits(room: Room) -> None:
    for lease in LEASES:
        reply = room.enter()
        room.shelf.append(lease)
        assert reply.wait(5) == (lease,)
        assert room.empty()
