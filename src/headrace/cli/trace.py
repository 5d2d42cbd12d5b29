"""Trace: `headrace trace ID`: the whole life of what one request or submit set in motion."""

from __future__ import annotations

import re
from importlib.metadata import version

import click

from headrace.cli.exits import Exit
from headrace.cli.output import document, say
from headrace.cli.storage import Storage, opened
from headrace.cli.text import moment, plain
from headrace.observe import spans
from headrace.observe.life import grow
from headrace.observe.waterfall import draw
from headrace.record import Filter, Record
from headrace.trace import TAG, of

_TRACE_ID = re.compile("[0-9a-f]{32}")
_JOBS_LIMIT = 1000


@click.command()
@click.argument("place", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print spans, as OTLP's JSON has them.")
def trace(place: str, *, as_json: bool) -> Exit:
    """Show what became of a job or a trace, as a waterfall.

    ID is that of a job, or of a trace. All is shown that one request or submit set in motion:
    waits, runs, retries, and child jobs.
    """
    with opened() as storage:
        trace_id = _trace_id(storage, place)
        records = _records(storage, trace_id)
        if len(records) > _JOBS_LIMIT:
            say(f"there are more than {_JOBS_LIMIT} jobs: these are the newest")
        lives = grow(list(records.values()), storage.clock.now())
    if not lives:
        say(f"headrace: no job or trace {plain(place)}: the id is wrong, or it was pruned")
        return Exit.NOT_FOUND
    if as_json:
        document(spans.document(trace_id, lives, version("headrace")))
        return Exit.OK
    began = min(life.steps[0].start for life in lives)
    click.echo(f"trace {trace_id} began {moment(began)}")
    for line in draw(lives):
        click.echo(plain(line))
    return Exit.OK


def _trace_id(storage: Storage, place: str) -> str:
    """Return the id of the trace that a job belongs to, or that is named itself."""
    record = storage.ask(storage.engine.get([place])).get(place)
    if record is not None:
        return of(record.message).trace_id
    return place if _TRACE_ID.fullmatch(place) else ""


def _records(storage: Storage, trace_id: str) -> dict[str, Record]:
    """Return the jobs of a trace: those that carry it, and the one that it began with."""
    where, cursor = Filter(tags=(TAG + trace_id,)), None
    found: dict[str, Record] = {}
    while trace_id and len(found) <= _JOBS_LIMIT:
        page = storage.ask(storage.engine.find(where, cursor=cursor))
        found |= {record.id: record for record in page.records}
        if (cursor := page.cursor) is None:
            break
    parts = (trace_id[:8], trace_id[8:12], trace_id[12:16], trace_id[16:20], trace_id[20:])
    return found | storage.ask(storage.engine.get(["-".join(parts)]))
