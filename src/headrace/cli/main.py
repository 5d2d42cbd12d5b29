"""The program `headrace`: its commands, what they share, and how each of them ends."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import click

from headrace import signals
from headrace.cli.exits import Exit
from headrace.cli.text import one_line
from headrace.config import Config
from headrace.errors import ConfigError

# Each is the object of its own name in the module of its name, imported when it is called: help
# and completion must not wait for what other commands need.
COMMANDS = {
    "dev": "Serve and run an APP in one process, anew whenever its files change.",
    "worker": "Run the tasks of an APP: worker processes under a supervisor.",
    "serve": "Let clients hand work over to an APP by HTTP.",
    "submit": "Submit one job to an APP's task; with --wait, print its result.",
    "jobs": "List, show, wait for, cancel and retry jobs.",
    "queues": "List, pause, resume and purge queues.",
    "dead": "List, show, redrive and purge dead letters.",
    "keys": "Create, list, rotate and revoke API keys of gateways.",
    "trace": "Show what became of a job or a trace, as a waterfall.",
    "doctor": "Show versions, the settings read back, and what they guarantee.",
    "guarantees": "Show what an accepted job survives here, read back from the engine.",
    "move": "Move all jobs and settings to another place, while workers go on.",
    "migrate": "Make the schema or bring it up to date, while workers go on.",
    "backup": "Copy the database to a new FILE while everything goes on.",
    "bench": "Measure this machine for ten seconds, beside the raw ceiling.",
    "demo": "See it work: every file of the standard library becomes a job.",
    "completion": "Print the completion script of a shell.",
}


_EXTRAS = {"dev": "server", "serve": "server", "keys": "server"}
"""What the commands need that not everybody has installed."""
_ENDING_IN_ORDER = ("dev", "serve", "worker")


class Program(click.Group):
    """Imports commands when they are called, and makes one line and an exit code of an error."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        with _naming_extra(cmd_name):
            command = getattr(importlib.import_module(f"headrace.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a rule of this package
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(  # type: ignore[override] # it always exits, and only in one way
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line and exit with its code."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal may lack any letter
        sys.exit(int(self._run(args, prog_name or "headrace", extra)))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line; `--help` prints already here."""
        with _heeding_reader():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _heeding_reader():
            outcome = super().invoke(ctx)
            sys.stdout.flush()
            return outcome

    def _run(self, args: Sequence[str] | None, name: str, extra: dict[str, Any]) -> Exit:
        try:
            words = sys.argv[1:] if args is None else args
            _check_text(words)
            outcome = super().main(words, name, standalone_mode=False, **extra)
        except SystemExit as end:
            return Exit(int(end.code or 0))
        except BaseException as error:  # noqa: BLE001 - whatever it is: one line and a code
            _tell(error)
            return Exit.of(error)
        return Exit(outcome or 0)


@contextlib.contextmanager
def _heeding_reader() -> Iterator[None]:
    """Stop silently when whoever reads the output goes away (`| head -1`)."""
    try:
        yield
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # else the last flush would complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(Exit.PIPE) from None


@contextlib.contextmanager
def _naming_extra(command: str) -> Iterator[None]:
    """Say what to install when a command lacks what only its extra brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        if command not in _EXTRAS:
            raise
        raise ConfigError(
            f"headrace {command} needs {error.name}: pip install 'headrace[{_EXTRAS[command]}]'"
        ) from None


def _check_text(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{word!r} is not text: use UTF-8") from None


def _tell(error: BaseException) -> None:
    """Print an error as one line, and its traceback if HEADRACE_DEBUG asks for it."""
    if os.environ.get("HEADRACE_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        message = "interrupted"
    elif isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        place = f"{context.command_path} --help" if context else "headrace --help"
        message = f"{error.format_message().rstrip('.')} (see {place})"
    elif Exit.of(error) is Exit.BUG:
        kind = type(error).__name__
        message = f"unexpected {kind}: {error} (HEADRACE_DEBUG=1 shows where; please report it)"
    else:
        message = str(error)
    click.echo(f"headrace: {one_line(message)}", err=True)


@click.group(
    cls=Program,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="APP is module:attribute or file.py. Exit codes: 0 ok, 1 a job failed, 2 usage, "
    "3 not found, 4 refused, 5 storage in trouble, 6 timed out, 130 interrupted.",
)
@click.option("--url", metavar="URL", help="Where everything is kept [default: HEADRACE_URL].")
@click.option(
    "--config",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="Any other setting, such as durability=crash; for several, repeat it.",
)
@click.version_option(package_name="headrace", message="headrace %(version)s")
@click.pass_context
def main(ctx: click.Context, /, url: str | None, settings: tuple[str, ...]) -> None:
    """Bring work to the workers: submit jobs, run them, and see what became of them."""
    if ctx.invoked_subcommand not in _ENDING_IN_ORDER:  # from their first line on
        signals.release()
    given = dict(_setting(text) for text in settings)
    if url is not None:
        given["url"] = url
    # The environment is where Config looks, and what worker processes inherit.
    os.environ.update({f"HEADRACE_{name.upper()}": value for name, value in given.items()})


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    known = Config.__struct_fields__
    if not equals or name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        problem = f"{text!r} is not NAME=VALUE" if not equals else f"no setting is called {name!r}"
        raise click.UsageError(f"--config: {problem}: {hint}")
    return name, value
