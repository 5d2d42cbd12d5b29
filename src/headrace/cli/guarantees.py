"""Guarantees: `headrace guarantees`: what holds here, read back from the engine."""

from __future__ import annotations

import click

from headrace.cli.output import Column, document, say, table
from headrace.cli.storage import opened
from headrace.cli.text import plain


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def guarantees(*, as_json: bool) -> None:
    """Show what an accepted job survives here, read back from the engine."""
    with opened() as storage:
        found = storage.ask(storage.engine.inspect())
    if as_json:
        document(
            {
                "engine": found.engine,
                "location": found.location,
                "guarantee": found.guarantee,
                "warnings": list(found.warnings),
            }
        )
        return
    table((Column("what"), Column("here")), found.guarantee.items())
    for warning in found.warnings:
        say(f"warning: {plain(warning)}")
