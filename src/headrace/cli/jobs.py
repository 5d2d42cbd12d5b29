"""Jobs: `headrace jobs list | show | wait | cancel | retry`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import click
import msgspec

from headrace.cli import bulk, portrait
from headrace.cli.exits import Exit
from headrace.cli.output import document, say, table
from headrace.cli.selection import filters, paging
from headrace.cli.storage import Storage, opened
from headrace.cli.text import plain
from headrace.clock import SystemClock
from headrace.errors import JobNotFound
from headrace.job import Progress, progress_key
from headrace.record import LIVE, Filter, Record, State
from headrace.reply import Unanswered
from headrace.watcher import Watcher
from headrace.write import CancelJobs, RetryJobs

CANCEL = "cancelling was asked for on the command line"


@click.group(no_args_is_help=True)
def jobs() -> None:
    """List, show, wait for, cancel and retry jobs."""


@jobs.command("list")
@filters(states=True)
@paging
def list_jobs(where: Filter, limit: int, cursor: str | None, *, as_json: bool) -> None:
    """List jobs, newest first."""
    list_page(where, limit, cursor, as_json=as_json)


def list_page(where: Filter, limit: int, cursor: str | None, *, as_json: bool) -> None:
    """Print a page of the jobs that a filter finds."""
    with opened() as storage:
        page = storage.ask(storage.engine.find(where, limit=limit, cursor=cursor))
    if as_json:
        found = [portrait.as_json(record) for record in page.records]
        document({"jobs": found, "cursor": page.cursor})
        return
    print_rows(page.records)
    if page.cursor is not None:
        say(f"there are more: --cursor {page.cursor}")


def print_rows(records: Sequence[Record]) -> None:
    """Print jobs as a table."""
    now = SystemClock().now()
    table(portrait.COLUMNS, [portrait.row(record, now) for record in records])


@jobs.command("show")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show_jobs(ids: tuple[str, ...], *, as_json: bool) -> Exit:
    """Show all that is known of jobs, with their history and last log lines."""
    return show_page(ids, as_json=as_json)


def show_page(ids: Sequence[str], *, as_json: bool) -> Exit:
    """Print all that is known of the jobs with these ids."""
    with opened() as storage:
        records = storage.ask(storage.engine.get(ids))
        found = [(records[i], _progress(storage, i)) for i in dict.fromkeys(ids) if i in records]
    if as_json:
        document({"jobs": [_with_progress(record, progress) for record, progress in found]})
    else:
        for number, (record, progress) in enumerate(found):
            if number:
                click.echo()
            portrait.show(record, progress)
    return _missing(job_id for job_id in ids if job_id not in records)


@jobs.command("wait")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="Seconds at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def wait_for_jobs(ids: tuple[str, ...], timeout: float | None, *, as_json: bool) -> Exit:
    """Wait until jobs are finished, whatever their end.

    The exit code is 0 if all of them have succeeded, 1 if one is dead or cancelled, and 6 if one
    is not finished in time.
    """
    ids = tuple(dict.fromkeys(ids))
    with opened() as storage:
        finished, missing = _wait(storage, ids, timeout)
        late = [job_id for job_id in ids if job_id not in finished and job_id not in missing]
        records = [*finished.values(), *storage.ask(storage.engine.get(late)).values()]
    if as_json:
        document({"jobs": [portrait.as_json(record) for record in records]})
    else:
        print_rows(records)
    if late:
        say(f"{len(late)} not finished after {timeout:g} s")
    failed = any(record.state is not State.SUCCEEDED for record in finished.values())
    return _missing(missing) or (Exit.TIMEOUT if late else Exit.FAILED if failed else Exit.OK)


@jobs.command("cancel")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--reason", default=CANCEL, metavar="TEXT", help="Why, for the record.")
@filters(states=True)
@bulk.options
def cancel_jobs(ids: tuple[str, ...], reason: str, where: Filter, **how: bool) -> Exit:
    """Cancel waiting jobs, and ask the workers of running ones to.

    Which jobs: their ids, or filters, or --all.
    """
    states = tuple(state for state in where.states or LIVE if state in LIVE)
    if not states:
        raise click.UsageError("only scheduled, ready and running jobs can be cancelled")
    change = bulk.Change(
        verb="cancel",
        states=states,
        write=partial(CancelJobs, reason=reason),
        ends={State.CANCELLED: "cancelled", State.RUNNING: "asked to cancel, still running"},
    )
    with opened() as storage:
        return bulk.perform(storage, change, bulk.Choice(ids, where, **how))


@jobs.command("retry")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@filters()
@bulk.options
def retry_jobs(ids: tuple[str, ...], where: Filter, **how: bool) -> Exit:
    """Make scheduled jobs due now, and put dead ones back.

    Which jobs: their ids, or filters, or --all.
    """
    change = bulk.Change(
        verb="retry",
        states=(State.SCHEDULED, State.DEAD),
        write=RetryJobs,
        ends={State.READY: "ready"},
    )
    with opened() as storage:
        return bulk.perform(storage, change, bulk.Choice(ids, where, **how))


def _wait(
    storage: Storage, ids: Sequence[str], timeout: float | None
) -> tuple[dict[str, Record], list[str]]:
    """Return the final records of the jobs that finish in time, and the ids of none."""
    deadline = None if timeout is None else storage.clock.monotonic() + timeout
    watcher = Watcher(storage.engine, storage.clock, storage.ids.fraction, storage.config.deadline)
    finished: dict[str, Record] = {}
    missing: list[str] = []
    replies = [(job_id, watcher.wait(job_id)) for job_id in ids]  # all at once: one question
    for job_id, reply in replies:
        left = None if deadline is None else max(0.0, deadline - storage.clock.monotonic())
        try:
            finished[job_id] = reply.wait(left)
        except JobNotFound:
            missing.append(job_id)
        except Unanswered:
            pass  # it is told that these are not finished
    watcher.close()
    return finished, missing


def _progress(storage: Storage, job_id: str) -> Progress | None:
    key = progress_key(job_id)
    entry = storage.ask(storage.engine.load([key])).get(key)
    return None if entry is None else msgspec.json.decode(entry.value, type=Progress)


def _with_progress(record: Record, progress: Progress | None) -> dict[str, Any]:
    told = None if progress is None else msgspec.to_builtins(progress)
    return portrait.as_json(record) | {"progress": told}


def _missing(ids: Iterable[str]) -> Exit:
    code = Exit.OK
    for job_id in ids:
        say(f"headrace: no job {plain(job_id)}: the id is wrong, or it was pruned")
        code = Exit.NOT_FOUND
    return code
