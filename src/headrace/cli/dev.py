"""Dev: `headrace dev APP`: gateway and worker in one process, anew whenever a file changes."""

from __future__ import annotations

import contextlib
import os
import threading
from contextlib import closing
from pathlib import Path

import click

from headrace.child import Child
from headrace.cli.dev_process import Order, encode
from headrace.cli.exits import Exit
from headrace.cli.output import say
from headrace.cli.serve import HOST, PORT, settings_of
from headrace.cli.watch import Watch
from headrace.gateway.server import listen
from headrace.ids import Ids
from headrace.inbox import Inbox
from headrace.order import STOP
from headrace.signals import STOP_SIGNALS

_PROCESS = "headrace.cli.dev_process"
_PATIENCE = 10.0
_CHANGED = object()


@click.command()
@click.argument("app")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True,
    help="Port to listen at, on this machine alone; 0 takes a free one.",
)  # fmt: skip
@click.option(
    "--set", "given", metavar="NAME=VALUE", multiple=True,
    help="A setting of the gateway; for several, repeat it.",
)  # fmt: skip
def dev(app: str, port: int, given: tuple[str, ...]) -> Exit:
    """Serve and run an APP in one process, anew whenever its files change.

    A program that cannot be imported is told of, and waited for. Runs that a change interrupts are
    handed back after 2 seconds and begin again. Ctrl-C ends it.
    """
    settings_of(given)  # a mistake there is not mended by changing the program
    with closing(listen(HOST, port)) as listener:
        order = Order(app, listener.getsockname()[1], given)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # its stamps are of seconds: changes are faster
    inbox = Inbox()
    watch = Watch(_folder(app), lambda: inbox.put(_CHANGED), Ids().fraction)
    with inbox.signals(*STOP_SIGNALS):
        watch.start()
        try:
            _repeat(inbox, order)
        finally:
            watch.stop()
    return Exit.OK


def _repeat(inbox: Inbox, order: Order) -> None:
    """Start a process, and another one after each change, until a signal comes."""
    event: object = _CHANGED
    while event is _CHANGED:
        child = Child(_PROCESS)
        with contextlib.suppress(OSError):  # it has died at once: that is told below
            child.channel.send(encode(order))
        keeper = threading.Thread(target=_await_end, args=(child, inbox), daemon=True)
        keeper.start()
        event = _next(inbox, child)
        if event is child:
            say("headrace: it has ended; the next change starts it again (Ctrl-C to leave)")
            event = _next(inbox)
        if event is _CHANGED:
            say("headrace: a file has changed")
        _end(child, keeper)


def _next(inbox: Inbox, child: Child | None = None) -> object:
    """Wait for a change, a signal, or the end of one process; former ones have ended as asked."""
    while True:
        event = inbox.get()
        if event is child or event is _CHANGED or event in STOP_SIGNALS:
            return event


def _await_end(child: Child, inbox: Inbox) -> None:
    """Wait for the end of a process, and tell of it."""
    while child.channel.receive() is not None:
        pass
    child.wait()
    inbox.put(child)


def _end(child: Child, keeper: threading.Thread) -> None:
    """Let a process end in order, and kill it if it does not."""
    with contextlib.suppress(OSError):  # it has ended
        child.channel.send(STOP)
    keeper.join(_PATIENCE)
    child.close()
    keeper.join()


def _folder(target: str) -> Path:
    """Return where the program is: its file's folder, or the current one of a module."""
    place = target.partition(":")[0]
    return Path(place).resolve().parent if place.endswith(".py") else Path.cwd()
