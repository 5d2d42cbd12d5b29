"""Queues: `headrace queues list | pause | resume | purge`."""

from __future__ import annotations

import click

from headrace.cli import bulk
from headrace.cli.exits import Exit
from headrace.cli.output import Column, document, say, table
from headrace.cli.selection import paging
from headrace.cli.storage import opened
from headrace.cli.text import plain, size
from headrace.message import check_name
from headrace.record import Filter, QueueStatus, State
from headrace.write import PauseQueue, PurgeJobs

_COLUMNS = (
    Column("queue"),
    Column("ready", right=True),
    Column("scheduled", right=True),
    Column("running", right=True),
    Column("size", whole=True, right=True),
    Column("limits"),
    Column("jobs/s", right=True),
    Column("due in", right=True),
    Column("paused"),
)


@click.group(no_args_is_help=True)
def queues() -> None:
    """List, pause, resume and purge queues."""


@queues.command("list")
@paging
def list_queues(limit: int, cursor: str | None, *, as_json: bool) -> None:
    """List queues by name: what waits in them, and how fast they drain."""
    with opened() as storage:
        found = storage.ask(storage.engine.depth())
    known = sorted(found, key=lambda status: status.name)
    rest = [status for status in known if cursor is None or status.name > cursor]
    shown = rest[:limit]
    following = shown[-1].name if len(rest) > limit else None
    if as_json:
        document({"queues": [status.as_dict() for status in shown], "cursor": following})
        return
    table(_COLUMNS, map(_row, shown))
    if following is not None:
        say(f"there are more: --cursor {following}")


@queues.command("pause")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...")
def pause_queues(names: tuple[str, ...]) -> None:
    """Let workers take nothing more from queues; what runs goes on."""
    _pause(names, paused=True)


@queues.command("resume")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...")
def resume_queues(names: tuple[str, ...]) -> None:
    """Let workers take jobs from queues again."""
    _pause(names, paused=False)


@queues.command("purge")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...")
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can answer.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON document.")
def purge_queues(names: tuple[str, ...], *, yes: bool, as_json: bool) -> Exit:
    """End all jobs that wait in queues; running ones go on. They end as cancelled ("purged")."""
    change = bulk.Change(
        verb="purge",
        states=(State.READY, State.SCHEDULED),
        write=PurgeJobs,
        ends={State.CANCELLED: "ended as cancelled"},
    )
    where = Filter(queues=names)
    with opened() as storage:
        choice = bulk.Choice((), where, everything=False, yes=yes, as_json=as_json)
        return bulk.perform(storage, change, choice)


def _pause(names: tuple[str, ...], *, paused: bool) -> None:
    for name in names:
        check_name("queue", name)
    with opened() as storage:
        known = {status.name for status in storage.ask(storage.engine.depth())}
        storage.ask(storage.engine.commit([PauseQueue(name, paused) for name in names]))
    for name in names:
        click.echo(f"queue {name} {'paused' if paused else 'resumed'}")
        if name not in known:
            say(f"queue {plain(name)} was not known before: is the name right?")


def _row(status: QueueStatus) -> tuple[object, ...]:
    limits = status.limits
    bounds = [] if limits.max_depth is None else [f"{limits.max_depth} jobs"]
    bounds += [] if limits.max_bytes is None else [size(limits.max_bytes)]
    return (
        status.name,
        status.ready,
        status.scheduled,
        status.running,
        size(status.bytes),
        ", ".join(bounds),
        f"{status.drain_rate:.1f}",
        None if status.due_in is None else f"{status.due_in:.1f} s",
        "yes" if status.paused else None,
    )
