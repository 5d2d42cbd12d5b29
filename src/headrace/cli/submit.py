"""Submit: `headrace submit APP TASK '{"path": "cat.jpg"}' [--wait]`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from headrace.app import App
from headrace.cli import portrait
from headrace.cli.output import document, say
from headrace.cli.program import open_program
from headrace.cli.text import plain
from headrace.job import Job


@click.command()
@click.argument("app")
@click.argument("task")
@click.argument("arguments", default="{}")
@click.option("--queue", metavar="NAME", help="The queue it waits in.")
@click.option("--priority", type=int, metavar="N", help="Higher runs earlier.")
@click.option("--delay", type=float, metavar="S", help="Seconds until it is ready.")
@click.option("--run-at", metavar="MOMENT", help="When it is ready: 2030-01-31T08:00:00+01:00.")
@click.option("--expires", type=float, metavar="S", help="Not started within S seconds: dead.")
@click.option("--unique-key", metavar="KEY", help="One live job for each key.")
@click.option("--on-conflict", type=click.Choice(["reject", "replace"]), help="With a key in use.")
@click.option("--order-key", metavar="KEY", help="One after another for each key.")
@click.option("--tag", "tags", multiple=True, metavar="WORD", help="A word to find it by.")
@click.option("--header", "headers", multiple=True, metavar="NAME=TEXT", help="Travels with it.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the result and print it.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="With --wait: at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the job as one JSON document.")
@click.pass_context
def submit(  # noqa: PLR0913 - one for each thing that a user may say
    ctx: click.Context,
    /,
    app: str,
    task: str,
    arguments: str,
    *,
    waits: bool,
    timeout: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Submit one job to an APP's task; with --wait, print its result.

    ARGUMENTS are a JSON object by parameter name. Prints the job's id; with --wait, its result
    as JSON.
    """
    with open_program(app, ctx) as program:
        chosen = program.registry.get(task).using(**_options(options))
        (job,) = program.submit([chosen.call_json(arguments.encode(errors="surrogateescape"))])
        if waits:
            say(f"job {job.id}")
            _wait(job, timeout)
        _print(program, job, as_json=as_json, waited=waits)


def _options(given: dict[str, Any]) -> Any:
    """Return the options that were given, as `Options` wants them."""
    options = {name: value for name, value in given.items() if value not in (None, ())}
    if "run_at" in options:
        options["run_at"] = _moment(options["run_at"])
    if "headers" in options:
        options["headers"] = dict(_header(text) for text in options["headers"])
    return options


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--run-at {text!r} is no moment as in ISO 8601") from None
    if at.tzinfo is None:
        raise click.UsageError(f"--run-at {text!r}: add a time zone, such as {text}Z for UTC")
    return at.astimezone(UTC)


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--header {text!r} is not NAME=TEXT")
    return name, value


def _wait(job: Job[Any], timeout: float | None) -> None:
    try:
        job.result(timeout)
    except KeyboardInterrupt:
        say(f"\njob {job.id} goes on: headrace jobs wait {job.id}")
        raise


def _print(program: App, job: Job[Any], *, as_json: bool, waited: bool) -> None:
    record = job.record
    if as_json:
        record = record or program.job(job.id).refresh()
        document(portrait.as_json(record))
    elif waited and record is not None and record.result is not None:
        click.echo(plain(bytes(record.result).decode("utf-8", "replace")))
    else:
        click.echo(job.id)
