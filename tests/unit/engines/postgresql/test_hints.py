"""Hints reach this process at once and others soon, and many are one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.hints import Hints
from headrace.engines.postgresql.link import Link
from tests.postgresql import Place

WAIT = 10


def hints(place: Place) -> Hints:
    return Hints(lambda: Link(Address(place.url)), place.schema, lambda: 0.5)


@pytest.fixture
def pair(postgresql: Place) -> Iterator[tuple[Hints, Hints]]:
    """Give the hints of two processes."""
    both = hints(postgresql), hints(postgresql)
    for number, one in enumerate(both):
        one.open(f"process-{number}")
    yield both
    for one in both:
        one.close()


def test_a_hint_is_heard_here_at_once(pair: tuple[Hints, Hints]) -> None:
    heard: list[str] = []
    pair[0].watch("ready", lambda: heard.append("ready"))
    pair[0].watch("finished", lambda: heard.append("finished"))
    pair[0].give(("ready",))
    assert heard == ["ready"]


def test_a_hint_is_heard_in_other_processes(pair: tuple[Hints, Hints]) -> None:
    ready, stored = threading.Event(), threading.Event()
    pair[1].watch("ready", ready.set)
    pair[1].watch("stored", stored.set)
    while not ready.wait(0.05):  # it may not listen yet
        pair[0].give(("ready",))
    pair[0].give(("cancel",))
    assert not stored.is_set()


def test_many_hints_are_few_notifications(pair: tuple[Hints, Hints], link: Link) -> None:
    heard = threading.Event()
    pair[1].watch("finished", heard.set)
    while not heard.wait(0.05):
        pair[0].give(("finished",))
    told: list[object] = []
    link.raw.add_notify_handler(told.append)
    link.say(f'listen "{pair[0]._channel}"')
    for _ in range(1000):
        pair[0].give(("ready",))
    last = threading.Event()
    pair[1].watch("stored", last.set)
    pair[0].give(("stored",))
    assert last.wait(WAIT)
    while not told:  # notifications come with the next answer
        link.say("select 1")
    assert len(told) < 500


def test_nobody_hears_himself_twice(pair: tuple[Hints, Hints]) -> None:
    heard: list[int] = []
    other = threading.Event()
    pair[0].watch("ready", lambda: heard.append(1))
    pair[1].watch("ready", other.set)
    given = 0
    while not other.wait(0.05):
        pair[0].give(("ready",))
        given += 1
    assert len(heard) == given


def test_what_was_hinted_at_while_nobody_listened_is_caught_up(postgresql: Place) -> None:
    refuse = [True]

    def connect() -> Link:
        if refuse:
            refuse.clear()
            raise psycopg.OperationalError("away")
        return Link(Address(postgresql.url))

    caught = threading.Event()
    late = Hints(connect, postgresql.schema, lambda: -0.5)
    late.watch("cancel", caught.set)
    late.open("late")
    assert caught.wait(WAIT)
    late.close()


def test_closing_and_opening_again_are_harmless(postgresql: Place) -> None:
    one = hints(postgresql)
    one.close()
    for _ in range(2):
        one.open("name")
        one.give(("ready",))
        one.close()
        one.close()
