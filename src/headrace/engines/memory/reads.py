"""What the memory engine tells: of queues, of jobs, and of small things."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.engine import Entry
from headrace.engines.memory import job as life
from headrace.engines.memory.core import Core
from headrace.engines.memory.job import Job
from headrace.errors import InvalidOption
from headrace.record import Filter, IdPage, Page, QueueStatus, Record, State
from headrace.reply import Reply


class Reads:
    """The reading half of the engine."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def depth(self, queues: Sequence[str] = ()) -> Reply[tuple[QueueStatus, ...]]:
        """Tell how queues are doing; all of them if none is named."""
        return self._core.run(
            lambda: tuple(self._status(name) for name in queues or self._core.jobs.lines())
        )

    def get(self, ids: Sequence[str]) -> Reply[dict[str, Record]]:
        """Tell all about jobs, by id."""
        return self._core.run(lambda: {job.id: self._record(job) for job in self._known(ids)})

    def states(self, ids: Sequence[str]) -> Reply[dict[str, State]]:
        """Tell only the states of jobs, by id."""
        return self._core.run(lambda: {job.id: job.state for job in self._known(ids)})

    def find(self, where: Filter, *, limit: int = 100, cursor: str | None = None) -> Reply[Page]:
        """List jobs, newest first, a page at a time."""
        return self._core.run(lambda: self._page(where, limit, cursor))

    def find_ids(
        self, where: Filter, *, limit: int = 1000, cursor: str | None = None
    ) -> Reply[IdPage]:
        """List only the ids of jobs, newest first, a page at a time."""
        return self.find(where, limit=limit, cursor=cursor).map(
            lambda page: IdPage(tuple(record.id for record in page.records), page.cursor)
        )

    def load(self, keys: Sequence[str]) -> Reply[dict[str, Entry]]:
        """Tell what is remembered, by key."""
        return self._core.run(lambda: self._entries(keys))

    def scan(self, prefix: str, *, limit: int = 1000, after: str = "") -> Reply[tuple[Entry, ...]]:
        """Tell what is remembered under keys that begin with `prefix`."""
        now = self._core.clock.now()
        return self._core.run(
            lambda: self._core.entries.scan(prefix, limit=limit, after=after, now=now)
        )

    def _entries(self, keys: Sequence[str]) -> dict[str, Entry]:
        now, load = self._core.clock.now(), self._core.entries.load
        return {key: entry for key in keys if (entry := load(key, now)) is not None}

    def _known(self, ids: Sequence[str]) -> list[Job]:
        return [job for name in ids if (job := self._core.jobs.get(name)) is not None]

    def _status(self, queue: str) -> QueueStatus:
        line = self._core.jobs.known_line(queue)
        if line is None:
            return QueueStatus(name=queue)
        return line.status(self._core.clock.now(), self._core.clock.monotonic())

    def _record(self, job: Job) -> Record:
        line = self._core.jobs.known_line(job.message.queue)
        held = job.state is State.READY and line is not None
        return life.recorded(job, line.reason(job) if held and line is not None else "")

    def _page(self, where: Filter, limit: int, cursor: str | None) -> Page:
        before = _place(cursor)
        found = [
            job
            for job in self._core.jobs.newest_first()
            if (before is None or job.place < before) and _fits(job, where)
        ]
        records = tuple(self._record(job) for job in found[:limit])
        more = len(found) > limit
        return Page(records, str(found[limit - 1].place) if more else None)


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit()):
        raise InvalidOption(f"cursor {cursor!r}: pass the one that the page before came with")
    return int(cursor)


def _fits(job: Job, where: Filter) -> bool:
    message = job.message
    cause = job.failure.cause if job.state.terminal and job.failure is not None else None
    return (
        (not where.states or job.state in where.states)
        and (not where.queues or message.queue in where.queues)
        and (not where.tasks or message.task in where.tasks)
        and set(where.tags) <= set(message.tags)
        and (where.cause is None or cause == where.cause)
    )
