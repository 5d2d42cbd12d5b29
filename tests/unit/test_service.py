"""A service ticks until it is stopped, whatever its ticks do and whoever starts and stops it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

import pytest

from headrace.service import Service

Make = Callable[..., Service]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Service] = []

    def service(tick: Callable[[], float | None], interval: float = 3600.0) -> Service:
        made.append(Service("tested", tick, interval, lambda: 0.5))
        return made[-1]

    yield service
    for each in made:
        assert each.stop()


def test_it_ticks_at_once_and_after_the_interval(make: Make) -> None:
    ticks: SimpleQueue[None] = SimpleQueue()
    make(lambda: ticks.put(None), 0.001).start()
    for _ in range(3):
        ticks.get(timeout=10)


def test_a_tick_says_when_the_next_one_comes(make: Make) -> None:
    ticks: SimpleQueue[None] = SimpleQueue()

    def tick() -> float:
        ticks.put(None)
        return 0.0

    make(tick).start()
    for _ in range(3):
        ticks.get(timeout=10)


def test_waking_makes_it_tick(make: Make) -> None:
    ticks: SimpleQueue[None] = SimpleQueue()
    service = make(lambda: ticks.put(None))
    service.start()
    ticks.get(timeout=10)
    service.wake()
    ticks.get(timeout=10)
    with pytest.raises(Empty):
        ticks.get(timeout=0.05)


def test_waking_during_a_tick_is_not_lost(make: Make) -> None:
    ticks: SimpleQueue[None] = SimpleQueue()
    goes_on = threading.Event()

    def tick() -> None:
        ticks.put(None)
        assert goes_on.wait(10)

    service = make(tick)
    service.start()
    ticks.get(timeout=10)
    service.wake()
    goes_on.set()
    ticks.get(timeout=10)


def test_an_exception_is_logged_and_the_next_tick_comes(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    ticks: SimpleQueue[None] = SimpleQueue()

    def tick() -> None:
        ticks.put(None)
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR, "headrace"):
        make(tick, 0.001).start()
        ticks.get(timeout=10)
        ticks.get(timeout=10)
    assert "tested: a tick failed" in caplog.text


def test_it_may_be_stopped_before_it_starts_and_twice(make: Make) -> None:
    service = make(lambda: None)
    assert service.stop()
    service.start()
    assert service.running
    assert service.stop()
    assert service.stop()
    assert not service.running


def test_it_may_be_started_twice_and_again(make: Make) -> None:
    threads: set[threading.Thread] = set()
    ticked = threading.Event()

    def tick() -> None:
        threads.add(threading.current_thread())
        ticked.set()

    service = make(tick)
    service.start()
    service.start()
    assert ticked.wait(10)
    assert len(threads) == 1
    service.stop()
    ticked.clear()
    service.start()
    assert ticked.wait(10)
    assert len(threads) == 2


def test_a_tick_may_stop_its_own_service(make: Make) -> None:
    stopped = threading.Event()

    def tick() -> None:
        assert service.inside
        service.stop()
        stopped.set()

    service = make(tick, 0.0)
    assert not service.inside
    service.start()
    assert stopped.wait(10)
    assert service.stop()
    assert not service.running
