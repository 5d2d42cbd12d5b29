"""Backup: `headrace backup FILE`: a consistent copy while everything goes on."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.output import progress
from headrace.cli.storage import opened
from headrace.cli.text import size


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Copy the database to a new FILE while everything goes on.

    An existing file is never overwritten, and what is there afterwards is whole.
    """
    with opened() as storage, progress("copying", None):
        # As long as it takes: a large file is no trouble.
        storage.engine.backup(file).wait()
    click.echo(f"{file}: {size(file.stat().st_size)}")
