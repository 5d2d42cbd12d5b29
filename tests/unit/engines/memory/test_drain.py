"""How fast a queue drains."""

import pytest

from headrace.engines.memory.drain import Drain


def drained(jobs: int, seconds: float, start: float = 1000.0) -> tuple[Drain, float]:
    """Return what is remembered after `jobs` that took `seconds` each, and the moment."""
    drain, now = Drain(), start
    for _ in range(jobs):
        now += seconds
        drain = drain.after(now)
    return drain, now


def test_nothing_drains_at_first() -> None:
    assert Drain().rate(1000.0) == 0.0


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1.0, 5.0])
def test_a_steady_queue_has_its_rate(seconds: float) -> None:
    drain, now = drained(1000, seconds)
    assert drain.rate(now) == pytest.approx(1 / seconds, rel=0.15)


def test_a_short_time_already_tells_the_rate() -> None:
    drain, now = drained(100, 0.05)
    assert drain.rate(now) == pytest.approx(20, rel=0.15)


def test_a_burst_is_not_taken_for_a_rate() -> None:
    drain, now = drained(10, 0.000_01)
    assert drain.rate(now) <= 11


def test_a_queue_that_stands_still_slows_down() -> None:
    drain, now = drained(100, 0.1)
    rates = [drain.rate(now + wait) for wait in (0, 10, 60, 600)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.01


def test_a_change_of_pace_is_noticed() -> None:
    drain, now = drained(100, 0.1)
    for _ in range(100):
        now += 2.0
        drain = drain.after(now)
    assert drain.rate(now) == pytest.approx(0.5, rel=0.2)
