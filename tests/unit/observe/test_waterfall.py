"""A trace drawn is the same text every time, and fits a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.observe.life import grow
from headrace.observe.waterfall import WIDTH, draw, lasting
from tests.unit.observe.past import NOW, RECORDS

GOLDEN = """\
report 019b76da-a800-7000-8000-000000000001 succeeded
  HTTP request                             12.0ms =
  wait                                    200.0ms .
  run 1: error: the printer is away a...  800.0ms xxx
  wait                                      1.89s   .....
  run 2: snooze: busy                     100.0ms        x
  run 2: lease-lost, begin unknown          3.00s        xxxxxxxx
  wait                                      2.30s                ......
  run 3                                     1.20s                     ####
  page 019b76da-cb28-7000-8000-000000000003 ready
    submit                                  1.0ms                       =
    wait: queue-paused                     3.00s+                       ........
  webhook 019b76da-cd76-7000-8000-000000000002 dead
    submit                                 60.0ms                        =
    wait                                   50.0ms                         .
    run 1: rejected: 410 Gone             300.0ms                         x
"""


def test_a_whole_life_as_text() -> None:
    drawn = "".join(f"{line}\n" for line in draw(grow(RECORDS, NOW)))
    assert drawn == GOLDEN


def test_the_guide_shows_it() -> None:
    guide = Path(__file__).parents[3] / "docs" / "guides" / "tracing.md"
    assert GOLDEN in guide.read_text(encoding="utf-8")


def test_no_line_is_wider_than_a_terminal() -> None:
    lines = list(draw(grow(RECORDS, NOW)))
    assert max(map(len, lines)) <= WIDTH == 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0ms"),
        (0.0123, "12.3ms"),
        (0.9, "900.0ms"),
        (1.0, "1.00s"),
        (12.34, "12.3s"),
        (599.0, "599.0s"),
        (600.0, "0h10m"),
        (3_660.0, "1h01m"),
        (86_400.0, "24h00m"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert lasting(seconds) == text
