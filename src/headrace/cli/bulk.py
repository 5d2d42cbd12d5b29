"""Bulk: one change to many jobs: counted first, confirmed, done in pages, and reported."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from headrace.cli.exits import Exit
from headrace.cli.output import document, progress, say
from headrace.cli.selection import find, selects
from headrace.cli.storage import Storage
from headrace.cli.text import plain
from headrace.errors import DuplicateJob
from headrace.record import Filter, State
from headrace.write import Changed, Write

PAGE = 500
GONE = "deleted"
"""What stands for the state of a job that the change has deleted."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to each job.

    Attributes:
        verb: what the user is asked to agree to, such as `"cancel"`.
        states: the states it is about; jobs in other ones are left alone.
        write: makes the write for a page of ids.
        ends: what is said of the jobs that it changed, by their state afterwards.
    """

    verb: str
    states: tuple[State, ...]
    write: Callable[[tuple[str, ...]], Write[Changed]]
    ends: Mapping[str, str]


@dataclass(slots=True)
class Report:
    """What became of the jobs so far.

    Attributes:
        changed: how many were changed, by their state afterwards.
        left: why others were left alone, by id.
        missing: ids that no job has.
    """

    changed: Counter[str] = field(default_factory=Counter)
    left: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, ids: Sequence[str], before: Mapping[str, State], changed: Changed) -> None:
        """Count what a write has answered."""
        for job_id in ids:
            if job_id in changed.changed:
                self.changed[str(changed.states.get(job_id, GONE))] += 1
            elif job_id in before:
                self.left[job_id] = f"it is {changed.states.get(job_id, before[job_id])}"
            else:
                self.missing.append(job_id)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which jobs the user has chosen, and how.

    Attributes:
        ids: named one by one; these need no confirmation.
        where: found by a filter.
        everything: whether `--all` was given.
        yes: whether `--yes` was given.
        as_json: whether `--json` was given.
    """

    ids: tuple[str, ...]
    where: Filter
    everything: bool
    yes: bool
    as_json: bool


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a bulk change."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Report as one JSON document."),
        click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can answer."),
        click.option("--all", "everything", is_flag=True, help="All jobs that it can be done to."),
    ):
        command = option(command)
    return command


def perform(storage: Storage, change: Change, choice: Choice) -> Exit:
    """Do it to the chosen jobs and report.

    Returns:
        OK; NOT_FOUND or REFUSED if a job that was named is not there or was left alone.
    """
    ids = _chosen(storage, change, choice)
    if ids is None:
        say("nothing was changed")
        return Exit.OK
    report = Report()
    try:
        with progress(change.verb, len(ids)) as step:
            for page in _pages(ids):
                _change(storage, change, page, report)
                step(len(page))
    finally:  # whatever happens, what was done is told
        _tell(change, report, len(ids), as_json=choice.as_json)
    if choice.ids and report.missing:
        return Exit.NOT_FOUND
    refused = choice.ids or any("unique key" in why for why in report.left.values())
    return Exit.REFUSED if report.left and refused else Exit.OK


def _chosen(storage: Storage, change: Change, choice: Choice) -> list[str] | None:
    """Return the ids, once the user has agreed; None if he has not."""
    filtered = choice.everything or selects(choice.where)
    if bool(choice.ids) == filtered:
        raise click.UsageError(
            f"{change.verb} which jobs? Give ids, or a filter such as --queue, or --all"
            + (", but not both" if filtered else "")
        )
    if choice.ids:
        return list(dict.fromkeys(choice.ids))
    ids = find(storage, in_states(choice.where, change.states))
    if ids and not choice.yes:
        if not _can_answer():
            raise click.UsageError(f"{change.verb} {len(ids)} jobs? Nobody can answer: add --yes")
        if not click.confirm(f"{change.verb} {_jobs(len(ids))}?", err=True):
            return None
    return ids


def _can_answer() -> bool:
    return sys.stdin.isatty()


def in_states(where: Filter, states: tuple[State, ...]) -> Filter:
    """Return a filter for the same jobs in these states."""
    return Filter(
        states=states, queues=where.queues, tasks=where.tasks, tags=where.tags, cause=where.cause
    )


def _pages(ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(ids), PAGE):
        yield tuple(ids[start : start + PAGE])


def _change(storage: Storage, change: Change, page: tuple[str, ...], report: Report) -> None:
    # The jobs go on while the user thinks: what has moved on meanwhile was not agreed to.
    before = storage.ask(storage.engine.states(page))
    still = tuple(i for i in page if before.get(i) in change.states)
    for job_id in page:
        if job_id not in before:
            report.missing.append(job_id)
        elif job_id not in still:
            report.left[job_id] = f"it is {before[job_id]}"
    if not still:
        return
    try:
        report.add(still, before, storage.apply(change.write(still)))
    except DuplicateJob as error:
        if len(page) == 1:
            report.left[still[0]] = str(error)
            return
        for job_id in still:  # one of them: the others need not suffer
            _change(storage, change, (job_id,), report)


def _tell(change: Change, report: Report, total: int, *, as_json: bool) -> None:
    done = sum(report.changed.values()) + len(report.left) + len(report.missing)
    if as_json:
        document(
            {
                "changed": dict(report.changed),
                "left": report.left,
                "missing": report.missing,
                "not_reached": total - done,
            }
        )
        return
    for state, count in report.changed.items():
        click.echo(f"{_jobs(count)} {change.ends[state]}")
    if not report.changed:
        click.echo(f"no job to {change.verb}")
    for why, count in Counter(report.left.values()).items():
        example = next(job_id for job_id, reason in report.left.items() if reason == why)
        which = plain(example) if count == 1 else _jobs(count)
        say(f"{which} left alone: {plain(why)}")
    for job_id in report.missing:
        say(f"no job {plain(job_id)}: the id is wrong, or it was pruned")
    if done < total:
        say(f"{_jobs(total - done)} not reached")


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"
