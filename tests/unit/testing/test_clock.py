"""A clock that is moved by hand."""

from __future__ import annotations

import pytest

from headrace.clock import Clock
from headrace.errors import InvalidOption
from headrace.testing import ManualClock


def test_it_stands_still_by_itself() -> None:
    clock: Clock = ManualClock()
    assert (clock.now(), clock.monotonic()) == (clock.now(), clock.monotonic())


def test_advancing_moves_both_clocks() -> None:
    clock = ManualClock(now=100.0)
    start = clock.monotonic()
    clock.advance(2.5)
    clock.advance(0)
    assert clock.now() == 102.5
    assert clock.monotonic() == start + 2.5


@pytest.mark.parametrize("seconds", [-0.1, float("nan")])
def test_time_does_not_go_back(seconds: float) -> None:
    clock = ManualClock()
    before = (clock.now(), clock.monotonic())
    with pytest.raises(InvalidOption, match="step"):
        clock.advance(seconds)
    assert (clock.now(), clock.monotonic()) == before


def test_a_step_moves_the_wall_clock_alone() -> None:
    clock = ManualClock(now=100.0)
    before = clock.monotonic()
    clock.step(-60)
    assert clock.now() == 40.0
    assert clock.monotonic() == before


def test_a_reboot_begins_another_monotonic_time() -> None:
    clock = ManualClock(now=100.0)
    clock.advance(50)
    boot = clock.boot()
    assert clock.boot() == boot
    clock.reboot()
    assert clock.boot() != boot
    assert clock.monotonic() == 0.0
    assert clock.now() == 150.0
