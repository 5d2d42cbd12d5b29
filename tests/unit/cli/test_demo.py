"""`headrace demo` compares what its workers found with a plain loop, and leaves nothing behind."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

import headrace.cli
from headrace.cli import library
from headrace.cli.exits import Exit
from headrace.cli.library import Examination
from tests.unit.cli.conftest import Terminal


@pytest.fixture
def small(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let the library be of a few files, and forget the App of an earlier demo."""
    below = terminal.folder / "library"
    below.mkdir()
    for number in range(20):
        (below / f"m{number}.py").write_text("def f():\n    return 1\n" * number)
    (below / "bad.py").write_text("print 'old'\n")
    (terminal.folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(terminal.folder / "tmp"))
    monkeypatch.setattr(library, "folder", lambda: below)
    monkeypatch.delitem(sys.modules, "headrace.cli.demo_app", raising=False)
    monkeypatch.delattr(headrace.cli, "demo_app", raising=False)
    return terminal


def left_behind(terminal: Terminal) -> list[Path]:
    return list((terminal.folder / "tmp").iterdir())


def test_demo(small: Terminal) -> None:
    told = small.json("demo", "--no-kill")
    assert told["equal"] is True
    assert told["lost"] == 0
    assert told["workers"]["files"] == 21
    assert told["workers"]["functions"] == sum(range(20))
    assert told["unparsed"].keys() == {"bad.py"}
    assert (told["http"]["files"], told["http"]["equal"]) == (3, True)
    assert left_behind(small) == []


def test_a_difference_is_told(small: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    true = library.examine

    def examine(file: str, below: Path) -> Examination:  # the workers' own is as it was
        found = true(file, below)
        return found if file != "m3.py" else Examination(file=file, lines=found.lines + 1)

    monkeypatch.setattr(library, "examine", examine)
    result = small("demo", "--no-kill")
    assert result.exit_code == Exit.FAILED
    assert "DIFFERENT" in result.stdout
    assert left_behind(small) == []


def test_without_the_extra_the_rest_is_shown(
    small: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "headrace.gateway", None)
    result = small("demo", "--no-kill")
    assert result.exit_code == Exit.OK
    assert "pip install 'headrace[server]'" in result.stderr
    assert "by HTTP" not in result.stdout
    assert "equal, file by file" in result.stdout


def test_a_url_keeps_the_jobs(small: Terminal) -> None:
    url = f"sqlite:///{small.folder}/kept.db"
    result = small("--url", url, "demo", "--no-kill")
    assert result.exit_code == Exit.OK
    assert left_behind(small) == []
    page = small.json("--url", url, "jobs", "list", "--state", "succeeded")
    assert len(page["jobs"]) == 21 + 3


def test_memory_is_refused(small: Terminal) -> None:
    assert small("--url", "memory:", "demo").exit_code == Exit.USAGE
