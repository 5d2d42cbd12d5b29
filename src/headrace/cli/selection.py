"""Selection: which jobs a command is about: the ids it is given, or what a filter finds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import click

from headrace.cli.output import progress
from headrace.cli.storage import Storage
from headrace.record import Cause, Filter, State

Command = Callable[..., Any]

_PAGE = 1000


def filters(*, states: bool = False) -> Callable[[Command], Command]:
    """Give a command the options that select jobs, as one argument `where`.

    Args:
        states: whether `--state` is one of them.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_filter(
            queues: tuple[str, ...],
            tasks: tuple[str, ...],
            tags: tuple[str, ...],
            cause: str | None,
            chosen: tuple[str, ...] = (),
            **others: Any,
        ) -> Any:
            where = Filter(
                states=tuple(map(State, chosen)),
                queues=queues,
                tasks=tasks,
                tags=tags,
                cause=cause,
            )
            return command(where=where, **others)

        for option in reversed(_OPTIONS if not states else (_STATE, *_OPTIONS)):
            with_filter = option(with_filter)
        return with_filter

    return decorate


def paging(command: Command) -> Command:
    """Give a command the options of a list."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--cursor", metavar="CURSOR", help="Go on where the last list ended."),
        click.option(
            "--limit",
            type=click.IntRange(1, 10_000),
            default=50,
            show_default=True,
            help="So many at most.",
        ),
    ):
        command = option(command)
    return command


_STATE = click.option(
    "--state",
    "chosen",
    multiple=True,
    type=click.Choice([str(state) for state in State]),
    help="Only jobs in this state; for several, repeat it.",
)
_OPTIONS = (
    click.option("--queue", "queues", multiple=True, metavar="NAME", help="Only this queue."),
    click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only this task."),
    click.option("--tag", "tags", multiple=True, metavar="WORD", help="Only jobs with this tag."),
    click.option(
        "--cause",
        type=click.Choice([str(cause) for cause in Cause]),
        help="Only jobs that ended for this cause.",
    ),
)


def selects(where: Filter) -> bool:
    """Tell whether a filter leaves anything out."""
    return where != Filter()


def find(storage: Storage, where: Filter) -> list[str]:
    """Return the ids of all jobs that a filter finds, oldest first."""
    ids: list[str] = []
    with progress("counting", None) as step:
        for page in _pages(storage, where):
            ids += page
            step(len(page))
    return ids[::-1]


def _pages(storage: Storage, where: Filter) -> Iterator[tuple[str, ...]]:
    cursor: str | None = None
    while True:
        page = storage.ask(storage.engine.find_ids(where, limit=_PAGE, cursor=cursor))
        yield page.ids
        if (cursor := page.cursor) is None:
            return
