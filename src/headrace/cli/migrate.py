"""Migrate: `headrace migrate`: the schema brought up to date when an operator says so."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from headrace import connect
from headrace.cli.exits import Exit
from headrace.cli.output import document, progress
from headrace.cli.text import plain
from headrace.config import load
from headrace.engine import Migration


@click.command()
@click.option("--check", is_flag=True, help="Only look; exit with 1 if a migration is due.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON document.")
def migrate(*, check: bool, as_json: bool) -> Exit:
    """Make the schema or bring it up to date, while workers go on.

    It does what the first to open the database would do: before the new version is there, and with
    a role that may.
    """
    config = load({})
    with progress("migrating", None):
        done = connect.migrate(config, check=check)
    if as_json:
        document(_report(done))
    else:
        click.echo(_sentence(done, urlsplit(config.url).scheme))
    return Exit.FAILED if done is not None and _is_due(done) else Exit.OK


def _is_due(done: Migration) -> bool:
    return done.version < done.known


def _report(done: Migration | None) -> dict[str, object]:
    if done is None:
        return {"location": None, "from": None, "to": None, "known": None, "due": False}
    return {
        "location": done.location,
        "from": done.found,
        "to": done.version,
        "known": done.known,
        "due": _is_due(done),
    }


def _sentence(done: Migration | None, scheme: str) -> str:
    if done is None:
        return f"{scheme}: there is no schema, so nothing is to be done"
    where = plain(done.location)
    if _is_due(done):
        return f"{where}: schema {done.found}, to be brought to {done.known}"
    if done.found < done.version:
        return f"{where}: schema {done.found} brought to {done.version}"
    if done.found > done.known:
        return f"{where}: schema {done.found}, newer than {done.known}: nothing to be done"
    return f"{where}: schema {done.found} is up to date"
