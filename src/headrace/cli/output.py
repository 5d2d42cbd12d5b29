"""Output: tables for people, JSON for programs, and how long something still takes.

What was asked for goes to standard output, everything else to standard error. On a terminal a
table is drawn by rich; on a pipe it is aligned columns, with nothing cut and no colour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from headrace.cli.text import lines, plain

_NOTHING = "-"
_GAP = 2
_NARROWEST = 10
"""Into so many columns of the terminal a cell is folded at worst; in less room nothing is drawn."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        whole: whether a cell is one word that must stay in one line, such as an id.
        right: whether it has numbers.
    """

    name: str
    whole: bool = False
    right: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; what is None or empty is shown as `-`."""
    cells = [[_cell(value) for value in row] for row in rows]
    heads = [column.name for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    if sys.stdout.isatty():
        console = Console(highlight=False)
        narrowest = (
            width if column.whole or column.right else min(width, _NARROWEST)
            for column, width in zip(columns, widths, strict=True)
        )
        if sum(narrowest) + _GAP * len(columns) <= console.width:
            console.print(_drawn(columns, cells, widths))
            return
    for row in ([head.upper() for head in heads], *cells):
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        click.echo((" " * _GAP).join(padded).rstrip())


def fields(pairs: Iterable[tuple[str, object]], *, indent: int = 0) -> None:
    """Print named values that are not empty; a text of many lines is indented below its name."""
    shown = [(name, value) for name, value in pairs if value or value == 0]
    width = max((len(name) for name, _ in shown), default=0) + 2
    margin = " " * indent
    for name, value in shown:
        first, *rest = [plain(str(value))] if not isinstance(value, Block) else ["", *value.lines]
        click.echo(f"{margin}{click.style((name + ':').ljust(width), bold=True)}{first}".rstrip())
        for line in rest:
            click.echo(f"{margin}    {line}".rstrip())


class Block:
    """A text of many lines, from data."""

    def __init__(self, text: str) -> None:
        self.lines = lines(text)

    def __bool__(self) -> bool:
        return bool(self.lines)


def document(value: Any) -> None:
    """Print one JSON document, in ASCII: it is safe on any terminal and in any encoding."""
    click.echo(json.dumps(value, indent=2))


def say(text: str) -> None:
    """Tell the user something beside the output."""
    click.echo(text, err=True)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far something has come; gives a function that is told the steps."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)


class _Rate(ProgressColumn):
    """Steps in a second, lately."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def _cell(value: object) -> str:
    return _NOTHING if value is None or value == "" else plain(str(value))


def _drawn(columns: Sequence[Column], cells: list[list[str]], widths: list[int]) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column, width in zip(columns, widths, strict=True):
        whole = column.whole or column.right
        drawn.add_column(
            Text(column.name),
            justify="right" if column.right else "left",
            no_wrap=whole,
            min_width=width if whole else None,
            overflow="fold",
        )
    for row in cells:
        drawn.add_row(*map(Text, row))
    return drawn
