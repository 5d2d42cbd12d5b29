"""`headrace serve` decides who may come, and says so before it serves."""

from __future__ import annotations

import signal
import socket
from typing import Any

import pytest

from headrace.cli.exits import Exit
from headrace.gateway import Gateway, Settings
from headrace.signals import STOP_SIGNALS
from tests.unit.cli.conftest import Terminal

PROGRAM = "from headrace import App\napp = App()\n@app.task\ndef f(): ...\n"


class Recorder:
    """Stands for the server, and remembers what it was to serve."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.place: tuple[Any, ...] = ()

    def __call__(self, gateway: Gateway) -> Recorder:
        self.settings = gateway.settings
        return self

    def serve_at(self, listener: socket.socket) -> None:
        self.place = listener.getsockname()


@pytest.fixture
def server(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    (terminal.folder / "shop.py").write_text(PROGRAM)
    recorder = Recorder()
    monkeypatch.setattr("headrace.cli.serve.Server", recorder)
    return recorder


def served(server: Recorder) -> Settings:
    """Return what was served with."""
    assert server.settings is not None
    return server.settings


EVERYWHERE = ("--host", "0.0.0.0", "--port", "0")  # noqa: S104 - nobody is served there


def test_this_machine_needs_no_key_while_there_is_none(
    terminal: Terminal, server: Recorder
) -> None:
    result = terminal("serve", "shop.py", "--port", "0")
    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert f"serving at http://127.0.0.1:{server.place[1]}, without a key, sqlite" in result.stderr
    assert result.stderr.count("\n") == 1
    assert served(server) == Settings(anonymous=True)


@pytest.mark.parametrize("options", [["--require-keys"], ["--proxied"]])
def test_unless_it_is_told_that_it_needs_one(
    terminal: Terminal, server: Recorder, options: list[str]
) -> None:
    terminal("keys", "create")
    assert terminal("serve", "shop.py", "--port", "0", *options).exit_code == Exit.OK
    assert served(server).anonymous is False


def test_as_soon_as_there_is_a_key_one_is_needed(terminal: Terminal, server: Recorder) -> None:
    token = terminal("keys", "create").stdout
    assert "with an API key" in terminal("serve", "shop.py", "--port", "0").stderr
    assert served(server).anonymous is False
    terminal("keys", "revoke", token.split("_")[1])
    terminal("serve", "shop.py", "--port", "0")
    assert served(server).anonymous is False  # revoking the last one opens no door
    terminal("serve", "shop.py", "--port", "0", "--set", "anonymous=true")
    assert served(server).anonymous is True


@pytest.mark.parametrize("options", [EVERYWHERE, ("--proxied", "--port", "0")])
def test_where_others_can_connect_there_has_to_be_a_key(
    terminal: Terminal, server: Recorder, options: tuple[str, ...]
) -> None:
    refused = terminal("serve", "shop.py", *options)
    assert refused.exit_code == Exit.USAGE
    assert "create one: headrace keys create" in refused.stderr
    assert "--proxied" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert server.settings is None
    terminal("keys", "create")
    assert terminal("serve", "shop.py", *options).exit_code == Exit.OK
    assert served(server).anonymous is False
    anonymous = terminal("serve", "shop.py", *options, "--set", "anonymous=true")
    assert anonymous.exit_code == Exit.USAGE
    assert "for this machine alone" in anonymous.stderr


def test_what_others_will_stumble_over_is_told(terminal: Terminal, server: Recorder) -> None:
    terminal("keys", "create")
    told = terminal("serve", "shop.py", *EVERYWHERE).stderr
    assert "put a proxy that ends TLS in front" in told
    assert "--set hosts=NAME" in told
    hosts = ("--set", "hosts=jobs.example")
    told = terminal("serve", "shop.py", *EVERYWHERE, "--proxied", *hosts).stderr
    assert told.count("\n") == 1
    assert served(server).hosts == ("jobs.example",)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("max_bdy=1", "did you mean max_body"),
        ("max_body", "is not NAME=VALUE"),
        ("max_body=0", ">= 1"),
    ],
)
def test_settings_that_make_no_sense(
    terminal: Terminal, server: Recorder, given: str, complaint: str
) -> None:
    result = terminal("serve", "shop.py", "--set", given)
    assert result.exit_code == Exit.USAGE
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    assert server.settings is None


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_before_there_is_anything_to_end(
    terminal: Terminal, server: Recorder, number: signal.Signals
) -> None:
    (terminal.folder / "shop.py").write_text(f"import signal\nsignal.raise_signal({int(number)})\n")
    result = terminal("serve", "shop.py")
    assert (result.exit_code, result.stdout, result.stderr) == (Exit.OK, "", "")
    assert server.settings is None
