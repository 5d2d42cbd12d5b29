"""The program: quick help, one line and a code for each error, silence for a reader that left."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import click
import pytest

from headrace.cli.exits import Exit
from headrace.cli.main import COMMANDS, Program, main
from tests.unit.cli.conftest import Shop, Terminal


def test_help_lists_every_command(terminal: Terminal) -> None:
    result = terminal("--help")
    assert result.exit_code == 0
    for name, sentence in COMMANDS.items():
        assert name in result.stdout
        assert sentence.split(":")[0][:30] in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_list_says(name: str) -> None:
    command = getattr(importlib.import_module(f"headrace.cli.{name}"), name)
    assert (command.help or "").splitlines()[0] == COMMANDS[name]


def test_help_imports_neither_an_engine_nor_rich() -> None:
    code = (
        "import sys; from headrace.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('apsw', 'rich', 'asyncio') if name in sys.modules],"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "apsw" not in done.stderr
    assert "rich" not in done.stderr


def test_version(terminal: Terminal) -> None:
    assert terminal("--version").stdout.startswith("headrace ")


def test_url_and_config_reach_the_settings(terminal: Terminal) -> None:
    other = f"sqlite:///{terminal.folder}/other.db"
    result = terminal("--url", other, "--config", "deadline=7", "jobs", "list")
    assert result.exit_code == Exit.NOT_FOUND
    assert "other.db" in result.stderr


@pytest.mark.parametrize(
    "args",
    [("show", "x\udcff"), ("list", "--tag", "\udcff"), ("cancel", "x", "--reason", "\udcff")],
)
def test_what_is_no_text_is_a_wrong_command_line(shop: Shop, terminal: Terminal, args: Any) -> None:
    shop.submit()
    result = terminal("jobs", *args)
    assert result.exit_code == Exit.USAGE
    assert "udcff' is not text: use UTF-8" in result.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["jobs", "list", "--limit", "x"], "--limit"),
        (["--config", "leese=1", "jobs", "list"], "did you mean lease?"),
        (["--config", "lease", "jobs", "list"], "not NAME=VALUE"),
        (["--config", "lease=-1", "jobs", "list"], "HEADRACE_LEASE"),
        (["--url", "mysql://x", "jobs", "list"], "no engine is called 'mysql'"),
        (["--url", "memory:", "jobs", "list"], "one process only"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    terminal: Terminal, args: list[str], says: str
) -> None:
    result = terminal(*args)
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError("two\nlines \x1b[31m"), Exit.BUG),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (PermissionError("not yours"), Exit.ENGINE),
        (SystemExit(3), Exit.NOT_FOUND),
    ],
)
def test_no_error_shows_a_traceback(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: Exit
) -> None:
    monkeypatch.setattr(Program, "get_command", lambda *_: _failing(error))
    result = terminal("doctor")
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert "\x1b" not in result.output
    assert len(result.stderr.strip().splitlines()) == (not isinstance(error, SystemExit))


def test_debug_shows_the_traceback(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "get_command", lambda *_: _failing(ZeroDivisionError("x")))
    monkeypatch.setenv("HEADRACE_DEBUG", "1")
    assert "Traceback" in terminal("doctor").stderr


def test_a_reader_that_leaves_is_no_error(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "get_command", lambda *_: _failing(BrokenPipeError()))
    result = terminal("doctor")
    assert result.exit_code == Exit.PIPE
    assert result.output == ""


def test_main_is_what_the_script_calls() -> None:
    assert isinstance(main, click.Command)


def _failing(error: BaseException) -> click.Command:
    @click.command("doctor")
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize("command", ["serve", "dev", "keys"])
def test_a_missing_extra_is_named(
    terminal: Terminal, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("headrace.gateway")]:
        monkeypatch.delitem(sys.modules, name)
    for name in (command, "serve", "dev_process"):
        monkeypatch.delitem(sys.modules, f"headrace.cli.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "starlette", None)
    for name in [name for name in sys.modules if name.startswith("starlette.")]:
        monkeypatch.delitem(sys.modules, name)
    result = terminal(command, "list")
    assert result.exit_code == Exit.USAGE
    assert "pip install 'headrace[server]'" in result.stderr
    assert result.stderr.count("\n") == 1
