"""`headrace dev` starts a process, another one after each change, and ends them in order."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import msgspec
import pytest

from headrace.cli import dev as module
from headrace.cli.dev_process import Order
from headrace.cli.exits import Exit
from headrace.inbox import Inbox
from headrace.order import STOP
from tests.unit.cli.conftest import Terminal


class FakeChild:
    """Stands for a process: lives until it is told to stop, or dies by itself."""

    def __init__(self, ended: threading.Event) -> None:
        self.orders: list[bytes] = []
        self._ended = ended
        self.channel = self

    def send(self, message: bytes) -> None:
        self.orders.append(message)
        if message == STOP:
            self._ended.set()

    def receive(self) -> None:
        assert self._ended.wait(30)

    def wait(self) -> int:
        return 0

    def close(self) -> None:
        self._ended.set()


class Stage:
    """Puts things into the inbox, one each time a process has started."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.children: list[FakeChild] = []
        self.inbox = Inbox()

    def start(self, name: str) -> FakeChild:
        assert name == "headrace.cli.dev_process"
        ended = threading.Event()
        child = FakeChild(ended)
        self.children.append(child)
        match self.script.pop(0):
            case "dies":
                ended.set()
            case "change":
                self.inbox.put(module._CHANGED)
            case "signal":
                self.inbox.put(signal.SIGINT)
        return child


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what is told to the user."""
    lines: list[str] = []
    monkeypatch.setattr(module, "say", lines.append)
    return lines


def play(monkeypatch: pytest.MonkeyPatch, *script: str) -> Stage:
    """Run the loop to its end."""
    stage = Stage(*script)
    monkeypatch.setattr(module, "Child", stage.start)
    module._repeat(stage.inbox, Order("shop.py", 8000))
    return stage


def test_a_change_starts_another_process(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    stage = play(monkeypatch, "change", "change", "signal")
    assert len(stage.children) == 3
    for child in stage.children:
        order, *stops = child.orders
        assert msgspec.json.decode(order, type=Order) == Order("shop.py", 8000)
        assert stops == [STOP]
    assert said == ["headrace: a file has changed"] * 2


def test_a_process_that_ends_waits_for_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("dies", "signal")
    said: list[str] = []

    def say(line: str) -> None:
        if not said:
            stage.inbox.put(module._CHANGED)
        said.append(line)

    monkeypatch.setattr(module, "say", say)
    monkeypatch.setattr(module, "Child", stage.start)
    module._repeat(stage.inbox, Order("shop.py", 8000))
    assert "the next change starts it again" in said[0]
    assert len(stage.children) == 2


def test_a_signal_ends_the_wait_for_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("dies")
    monkeypatch.setattr(module, "say", lambda _: stage.inbox.put(signal.SIGTERM))
    monkeypatch.setattr(module, "Child", stage.start)
    module._repeat(stage.inbox, Order("shop.py", 8000))
    assert len(stage.children) == 1


def test_where_the_program_is(terminal: Terminal) -> None:
    assert module._folder("shop.work:app") == Path.cwd() == terminal.folder.resolve()
    assert module._folder("inner/app.py:app") == terminal.folder.resolve() / "inner"


def test_mistakes_of_the_command_line_end_it(terminal: Terminal) -> None:
    result = terminal("dev", "shop.py", "--set", "max_body=0")
    assert result.exit_code == Exit.USAGE
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = terminal("dev", "shop.py", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == Exit.USAGE
    assert "choose another place" in result.stderr
