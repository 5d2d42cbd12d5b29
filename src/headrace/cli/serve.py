"""Serve: `headrace serve APP`: the gateway, for clients that speak HTTP."""

from __future__ import annotations

import socket
from contextlib import closing

import click
from msgspec.structs import replace

from headrace import journal
from headrace.app import App
from headrace.cli.exits import Exit
from headrace.cli.output import say
from headrace.cli.program import open_program
from headrace.cli.text import plain
from headrace.errors import ConfigError
from headrace.gateway.door.keys import KEY_PREFIX
from headrace.gateway.gateway import Gateway
from headrace.gateway.server import Server, is_loopback, listen, url_of
from headrace.gateway.settings import Settings, load
from headrace.observe.prometheus import Metrics
from headrace.observe.wiring import wire
from headrace.signals import interrupting

HOST, PORT = "127.0.0.1", 8000


@click.command()
@click.argument("app")
@click.option("--host", default=HOST, show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True,
    help="Port to listen at; 0 takes a free one.",
)  # fmt: skip
@click.option("--require-keys", is_flag=True, help="Let nobody in without an API key, here either.")
@click.option("--proxied", is_flag=True, help="A proxy that ends TLS stands in front.")
@click.option(
    "--set", "given", metavar="NAME=VALUE", multiple=True,
    help="A setting of the gateway, such as hosts=jobs.example; for several, repeat it.",
)  # fmt: skip
@click.pass_context
def serve(  # noqa: PLR0913 - its options
    ctx: click.Context, /, app: str, host: str, port: int, given: tuple[str, ...],
    *, require_keys: bool, proxied: bool,
) -> Exit:  # fmt: skip
    """Let clients hand work over to an APP by HTTP.

    Whoever is not on this machine needs an API key: `headrace keys create`. SIGTERM or Ctrl-C:
    accept nothing more, finish what has begun, exit 0. A second signal hurries.
    """
    settings = settings_of(given)
    settings = replace(settings, proxied=proxied or settings.proxied)
    try:
        with interrupting():
            program = open_program(app, ctx)
            program.open()
    except KeyboardInterrupt:
        return Exit.OK  # nothing has begun that would have to end
    with closing(program), closing(listen(host, port)) as listener:
        settings = admitting(program, settings, listener, require_keys=require_keys)
        announce(program, settings, listener)
        Server(gateway_of(program, settings)).serve_at(listener)
    return Exit.OK


def gateway_of(program: App, settings: Settings) -> Gateway:
    """Return a gateway that is observed as the program has set it up."""
    journal.begin(program.config)
    wire(program)
    return Gateway(program, settings, metrics=Metrics(program).expose)


def settings_of(given: tuple[str, ...]) -> Settings:
    """Return the gateway's settings, of what the command line and the environment say."""
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not equals:
            raise click.UsageError(f"--set: {name!r} is not NAME=VALUE")
    return load({name: value for name, _, value in pairs})


def admitting(
    program: App, settings: Settings, listener: socket.socket, *, require_keys: bool = False
) -> Settings:
    """Return the settings with the decision whether somebody may come without a key.

    On this machine that is so while there are no keys: whoever can connect could as well open the
    database. As soon as there is one, or others can connect, a key is needed.

    Raises:
        ConfigError: others can connect, and nobody has a key.
    """
    reply = program.engine.scan(KEY_PREFIX, limit=1)
    keys = bool(reply.wait(program.config.deadline))
    alone = is_loopback(listener) and not settings.proxied
    if not alone and settings.anonymous:
        raise ConfigError("anonymous=true is for this machine alone: others need API keys")
    if not alone and not keys:
        raise ConfigError(
            f"at {url_of(listener)} others could do everything, since there is no API key yet;"
            " create one: headrace keys create"
            " (and say --proxied where a proxy that ends TLS stands in front)"
        )
    open_door = alone and not require_keys and (settings.anonymous or not keys)
    return replace(settings, anonymous=open_door)


def announce(program: App, settings: Settings, listener: socket.socket) -> None:
    """Say where the gateway is and who may come."""
    who = "without a key" if settings.anonymous else "with an API key"
    say(f"headrace: serving at {url_of(listener)}, {who}, {plain(program.config.place)}")
    if not is_loopback(listener) and not settings.proxied:
        say("headrace: keys cross the network readably: put a proxy that ends TLS in front")
    if not is_loopback(listener) and settings.hosts == Settings().hosts:
        say("headrace: clients that use a name are turned away: --set hosts=NAME allows one")
