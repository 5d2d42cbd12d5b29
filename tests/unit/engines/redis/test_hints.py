"""Hints reach watchers here and in other processes, and fail nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from headrace.engines.redis.address import Address
from headrace.engines.redis.hints import Hints
from headrace.engines.redis.link import Link
from headrace.ids import Ids

PATIENCE = 5.0


@pytest.fixture
def hints(address: Address) -> Iterator[Hints]:
    hints = Hints(address, Ids())
    hints.open()
    yield hints
    hints.close()


def subscribed(link: Link, address: Address) -> int:
    (answer,) = link.ask([("PUBSUB", "NUMSUB", f"{address.key}:hints")])
    return int(answer[1])


def watch(hints: Hints, topic: str) -> threading.Event:
    """Watch, and wait until what was missed before has been hinted at."""
    hinted = threading.Event()
    hints.watch(topic, hinted.set)  # type: ignore[arg-type] # a topic
    assert hinted.wait(PATIENCE)
    hinted.clear()
    return hinted


def test_a_hint_of_another_process_is_heard(hints: Hints, link: Link, address: Address) -> None:
    hinted = watch(hints, "ready")
    link.ask([Hints(address, Ids()).publish(["finished", "ready"])])
    assert hinted.wait(PATIENCE)


def test_other_topics_are_not_passed_on(hints: Hints, link: Link, address: Address) -> None:
    ready, finished = watch(hints, "ready"), threading.Event()
    hints.watch("finished", finished.set)
    link.ask([Hints(address, Ids()).publish(["ready"])])
    assert ready.wait(PATIENCE)
    assert not finished.is_set()


def test_ones_own_are_given_directly_and_not_heard_twice(hints: Hints, link: Link) -> None:
    heard: list[int] = []
    first = watch(hints, "ready")
    hints.watch("ready", lambda: heard.append(1))
    hints.give(["ready"])
    assert first.is_set()
    assert heard == [1]
    last = threading.Event()
    hints.watch("ready", last.set)  # the last one to be called
    link.ask([hints.publish(["ready"]), ("PUBLISH", hints._channel, "someone ready")])
    assert last.wait(PATIENCE)
    assert heard == [1, 1]


def test_whoever_watches_nothing_keeps_no_connection(
    hints: Hints, link: Link, address: Address
) -> None:
    assert subscribed(link, address) == 0
    watch(hints, "ready")
    assert subscribed(link, address) == 1
    hints.close()
    hints.close()


def test_watchers_are_heard_again_when_it_is_opened_again(
    hints: Hints, link: Link, address: Address
) -> None:
    hinted = watch(hints, "ready")
    hints.close()
    hints.open()
    assert hinted.wait(PATIENCE)  # for what may have been missed
    hinted.clear()
    link.ask([Hints(address, Ids()).publish(["ready"])])
    assert hinted.wait(PATIENCE)


def test_a_watcher_that_fails_stops_no_other(
    hints: Hints, caplog: pytest.LogCaptureFixture
) -> None:
    hinted = threading.Event()

    def fail() -> None:
        raise LookupError("on purpose")

    hints.watch("cancel", fail)
    stop = hints.watch("cancel", hinted.set)
    hints.give(["cancel"])
    assert hinted.is_set()
    assert "on purpose" in caplog.text
    stop()
    stop()


def test_a_broken_connection_is_made_anew(hints: Hints, link: Link, address: Address) -> None:
    hinted = watch(hints, "ready")
    assert hints._connection is not None
    hints._connection.disconnect()
    assert hinted.wait(PATIENCE)
    assert subscribed(link, address) == 1
