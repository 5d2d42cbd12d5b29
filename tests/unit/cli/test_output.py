"""Tables and values lose nothing on a pipe, and obey no control character anywhere."""

from __future__ import annotations

import io
import json
import sys

import pytest

from headrace.cli.output import Block, Column, document, fields, progress, table

ID = "01a1fff1-cfd7-7045-8ac2-74692acd33e8"
COLUMNS = (Column("id", whole=True), Column("count", right=True), Column("note"))


class Screen(io.StringIO):
    """A terminal to print on."""

    def isatty(self) -> bool:
        return True


def on_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Print on a screen from here on; capturing has begun by now, unlike in a fixture."""
    made = Screen()
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    return made


def test_on_a_pipe_columns_are_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    table(COLUMNS, [(ID, 7, "x" * 300), ("b", 1234, None)])
    assert capsys.readouterr().out.splitlines() == [
        "ID" + " " * 34 + "  COUNT  NOTE",
        f"{ID}      7  " + "x" * 300,
        "b" + " " * 35 + "   1234  -",
    ]


def test_on_a_pipe_escapes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    table(COLUMNS, [("a", 1, "\x1b[31mred\n")])
    fields([("note", "\x1b[31m"), ("log", Block("one\x1b[0m\ntwo"))])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31mred\\n" in out
    assert "    one\\x1b[0m\n    two\n" in out


@pytest.mark.parametrize("width", ["200", "60", "20"])
def test_on_a_screen_ids_stay_whole(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    screen = on_screen(monkeypatch)
    monkeypatch.setenv("COLUMNS", width)
    table(COLUMNS, [(ID, 7, "word " * 40 + "\x1b]0;title\x07")])
    shown = screen.getvalue()
    assert ID in shown
    assert "…" not in shown
    assert "\x1b]0" not in shown
    assert ("─" in shown) is (width != "20")


def test_on_a_screen_data_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")
    table(COLUMNS, [("a", 1, "[bold]not markup[/bold] :smile:")])
    assert "[bold]not markup[/bold] :smile:" in screen.getvalue()


def test_empty_values_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    fields([("a", ""), ("b", None), ("c", 0), ("d", []), ("e", Block(""))])
    assert capsys.readouterr().out == "c: 0\n"


def test_document_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    document({"name": "é\x9b\u202e"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"name": "é\x9b\u202e"}


def test_progress_is_shown_on_a_screen_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("counting", 3) as step:
        step(3)
    assert capsys.readouterr() == ("", "")


def test_progress_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch)
    with progress("counting", 3) as step:
        step(2)
        step(1)
    assert "counting" in screen.getvalue()
    assert "3/3" in screen.getvalue()
