"""Text from data is shown as it is, and never obeyed by a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.text import duration, lines, moment, one_line, plain, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat.jpg", "cat.jpg"),
        ("größe 😀", "größe 😀"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nb\tc\x00", "a\\nb\\tc\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202egnp", "abc\\u202egnp"),
        ("\ud800", "\\ud800"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(alphabet=st.characters(), max_size=50))
def test_plain_is_always_printable(text: str) -> None:
    assert plain(text).isprintable()
    assert all(line.isprintable() for line in lines(text))
    assert one_line(text).isprintable()


def test_lines_keep_the_shape_of_a_traceback() -> None:
    assert lines('File "x"\n\tgo()\r\nboom\x07') == ['File "x"', "        go()", "boom\\x07"]


def test_one_line() -> None:
    assert one_line("two\n  lines ") == "two lines"


def test_moment() -> None:
    assert moment(0.5) == "1970-01-01T00:00:00.500Z"
    assert moment(None) is None
    assert moment(1e18) == "1000000000000000000 s after 1970"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0s"), (59, "59s"), (61, "1m"), (7200, "2h"), (200_000, "2d")],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16 * 1024**2, "16.0 MiB"),
     (5 * 1024**4, "5.0 TiB")],
)  # fmt: skip
def test_size(number: int, shown: str) -> None:
    assert size(number) == shown
