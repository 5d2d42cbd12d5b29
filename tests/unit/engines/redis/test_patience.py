"""Pauses grow, are spread, and end at a second."""

from __future__ import annotations

from headrace.engines.redis.patience import Backoff
from headrace.ids import Ids


class Even(Ids):
    """Draws the same fraction always."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self._fraction = fraction

    def fraction(self) -> float:
        return self._fraction


def taken(fraction: float) -> list[float]:
    backoff = Backoff(Even(fraction))
    return [round(backoff.take(), 4) for _ in range(8)]


def test_pauses_double_up_to_a_second() -> None:
    assert taken(1.0) == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]


def test_half_of_each_is_left_to_chance() -> None:
    assert taken(0.0) == [pause / 2 for pause in taken(1.0)]


def test_a_pause_is_one_of_them() -> None:
    backoff = Backoff(Even(0.0))
    backoff.pause()
    assert round(backoff.take(), 4) == 0.02
