"""The user's program is imported, or its trouble told in one line that says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.exits import Exit
from tests.unit.cli.conftest import Terminal

GOOD = "from headrace import App\napp = App()\n@app.task\ndef f(): ...\n"


def write(terminal: Terminal, text: str) -> Path:
    file = terminal.folder / "shop.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nosuch_module\n", "ModuleNotFoundError"),
        ("x = 1\ny = 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("x = 1\ny = 1 / 0\n", "shop.py, line 2"),
        ("def f(:\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("x = 1\n", "has no App"),
        ("from headrace import App\napp = App()\n", "declares no task"),
        (GOOD.replace("App()", 'App("memory:")'), "one process only"),
        (GOOD.replace("App()", "App(leese=3)"), "leese"),
    ],
)
def test_trouble_is_one_line(terminal: Terminal, text: str, says: str) -> None:
    write(terminal, text)
    result = terminal("submit", "shop.py", "f")
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_such_program(terminal: Terminal) -> None:
    assert terminal("submit", "nosuch.py", "f").exit_code == Exit.USAGE
    assert terminal("submit", "nosuch_module", "f").exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("own", "args"),
    [
        ('"sqlite:///own.db"', ["--url", "sqlite:///other.db"]),
        ("lease=9", ["--config", "lease=5"]),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(
    terminal: Terminal, own: str, args: list[str]
) -> None:
    write(terminal, GOOD.replace("App()", f"App({own})"))
    result = terminal(*args, "submit", "shop.py", "f")
    assert result.exit_code == Exit.USAGE
    assert "in App(...)" in result.stderr
    assert not (terminal.folder / "other.db").exists()
    assert terminal("submit", "shop.py", "f").exit_code == Exit.OK


def test_a_setting_of_the_command_line_holds(terminal: Terminal) -> None:
    write(terminal, GOOD)
    url = "sqlite:///other.db"
    assert terminal("--url", url, "submit", "shop.py", "f").exit_code == Exit.OK
    assert (terminal.folder / "other.db").exists()
