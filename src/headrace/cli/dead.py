"""Dead letters: `headrace dead list | show | redrive | purge`."""

from __future__ import annotations

import click

from headrace.cli import bulk
from headrace.cli.exits import Exit
from headrace.cli.jobs import list_page, show_page
from headrace.cli.selection import filters, paging
from headrace.cli.storage import opened
from headrace.record import Filter, State
from headrace.write import PurgeJobs, RetryJobs

_DEAD = (State.DEAD,)


@click.group(no_args_is_help=True)
def dead() -> None:
    """List, show, redrive and purge dead letters."""


@dead.command("list")
@filters()
@paging
def list_dead(where: Filter, limit: int, cursor: str | None, *, as_json: bool) -> None:
    """List dead letters, the newest job first, with what they died of."""
    list_page(bulk.in_states(where, _DEAD), limit, cursor, as_json=as_json)


@dead.command("show")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show_dead(ids: tuple[str, ...], *, as_json: bool) -> Exit:
    """Show all that is known of dead letters: traceback, history, last log lines."""
    return show_page(ids, as_json=as_json)


@dead.command("redrive")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@filters()
@bulk.options
def redrive_dead(ids: tuple[str, ...], where: Filter, **how: bool) -> Exit:
    """Put dead letters back into their queues, with their attempts starting anew.

    Which ones: their ids, or filters, or --all.
    """
    change = bulk.Change(
        verb="redrive", states=_DEAD, write=RetryJobs, ends={State.READY: "ready again"}
    )
    with opened() as storage:
        return bulk.perform(storage, change, bulk.Choice(ids, where, **how))


@dead.command("purge")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@filters()
@bulk.options
def purge_dead(ids: tuple[str, ...], where: Filter, **how: bool) -> Exit:
    """Delete dead letters for good.

    Which ones: their ids, or filters, or --all.
    """
    change = bulk.Change(verb="purge", states=_DEAD, write=PurgeJobs, ends={bulk.GONE: "deleted"})
    with opened() as storage:
        return bulk.perform(storage, change, bulk.Choice(ids, where, **how))
