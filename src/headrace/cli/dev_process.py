"""What `headrace dev` starts anew after each change: a gateway and a worker in one process.

It is no command for people: its first message, over the channel that is its standard input, says
what it is to serve, and the end of the channel ends it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from contextlib import closing

import msgspec

from headrace.app import App
from headrace.child import Channel
from headrace.cli.serve import HOST, admitting, announce, gateway_of, settings_of
from headrace.cli.text import one_line
from headrace.errors import ConfigError, HeadraceError
from headrace.gateway.server import Server, listen
from headrace.node import Node
from headrace.order import Work
from headrace.signals import interrupting
from headrace.target import load
from headrace.worker import Exit

_GRACE = 2.0
"""How long runs may go on when the program has changed: whoever changed it waits to see it."""


class Order(msgspec.Struct, frozen=True):
    """What to serve.

    Attributes:
        target: where the App is: `module:attr` or `file.py`.
        port: where to listen.
        given: settings of the gateway, as NAME=VALUE.
    """

    target: str
    port: int
    given: tuple[str, ...] = ()


encode = msgspec.json.Encoder().encode


def main() -> int:
    """Serve what the first message says; return the exit code."""
    channel = Channel.of_parent()
    message = channel.receive()
    if message is None:
        return Exit.CLEAN
    order = msgspec.json.decode(message, type=Order)
    try:
        with interrupting():
            program = _imported(order.target)
        everything_ended = _serve(program, order, channel)
    except HeadraceError as error:
        sys.stderr.write(f"headrace: {one_line(str(error))}\n")
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.CLEAN
    except (Exception, SystemExit):  # noqa: BLE001 - whatever the program raises while it is imported
        traceback.print_exc()
        return Exit.USAGE
    if not everything_ended:  # a thread goes on in its run, and would keep this process from ending
        logging.shutdown()
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(Exit.CLEAN)
    return Exit.CLEAN


def _imported(target: str) -> App:
    program = load(target)
    if not len(program.registry):
        raise ConfigError(f"{target} declares no task: put @app.task above a function there")
    return program


def _serve(program: App, order: Order, channel: Channel) -> bool:
    """Serve and work until the channel says something or ends; tell whether every run has ended."""
    ended: list[bool] = []
    program.open()
    with closing(program), closing(listen(HOST, order.port)) as listener:
        settings = admitting(program, settings_of(order.given), listener)
        node = Node(program, Work(target=order.target, settings={"grace": _GRACE}))
        server = Server(
            gateway_of(program, settings),
            ending=lambda: ended.append(node.stop(exiting=True)),
            hurrying=lambda: _hurry(node),
        )
        node.start()
        announce(program, settings, listener)
        threading.Thread(target=_listen, args=(channel, server), daemon=True).start()
        server.serve_at(listener)
    return all(ended)


def _hurry(node: Node) -> None:
    if node.worker is not None:
        node.worker.hurry()


def _listen(channel: Channel, server: Server) -> None:
    while channel.receive() is not None:
        server.stop()
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
