"""What the ledger, the queues and the store tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.engine import Entry, Maintained
from headrace.engines.redis.answering import unpack
from headrace.engines.redis.asking import pack
from headrace.engines.redis.reader import Asker
from headrace.engines.redis.scripts import DEPTH, FIND, GET, LOAD, SCAN, STATES
from headrace.errors import InvalidOption
from headrace.message import Message
from headrace.record import (
    Attempt,
    Failure,
    Filter,
    IdPage,
    Page,
    QueueLimits,
    QueueStatus,
    Record,
    State,
)

_message = msgspec.json.Decoder(Message).decode
_failure = msgspec.json.Decoder(Failure).decode
_history = msgspec.json.Decoder(tuple[Attempt, ...]).decode


class _Job(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job as the scripts store it, as far as it is told; `False` is what is not there."""

    state: State
    queue: str
    seq: int
    task: str
    priority: int
    size: int
    accepted: float
    attempt: int
    lost: int
    token: int
    claim: str
    finished: float | bool = False
    kept: float | bool = False
    cause: str | bool = False
    run_at: float | bool = False
    expires: float | bool = False
    cancelling: str | bool = False
    lease: float | bool = False
    keep: float | bool = False
    keep_dead: float | bool = False
    unique: str | bool = False
    order: str | bool = False
    skip: bool = False
    tags: list[str] | bool = False
    seconds: float | bool = False


_job = msgspec.msgpack.Decoder(_Job).decode


def get(asker: Asker, ids: Sequence[str]) -> dict[str, Record]:
    """Return all that is known of jobs, by id."""
    records = [_record(row) for row in asker.run(GET, pack(ids))]
    return {record.id: record for record in records}


def states(asker: Asker, ids: Sequence[str]) -> dict[str, State]:
    """Return the states of jobs, by id."""
    told = asker.run(STATES, pack(ids))
    return {i: State(state.decode()) for i, state in zip(ids, told, strict=True) if state}


def find(asker: Asker, where: Filter, limit: int, cursor: str | None) -> Page:
    """Return a page of jobs, newest first."""
    rows = _found(asker, where, limit, cursor, brief=False)
    end = str(_job(rows[limit - 1][1]).seq) if len(rows) > limit else None
    return Page(tuple(_record(row) for row in rows[:limit]), end)


def find_ids(asker: Asker, where: Filter, limit: int, cursor: str | None) -> IdPage:
    """Return a page of the ids of jobs, newest first."""
    rows = _found(asker, where, limit, cursor, brief=True)
    end = rows[limit - 1][1].decode() if len(rows) > limit else None
    return IdPage(tuple(job_id.decode() for job_id, _ in rows[:limit]), end)


def _found(
    asker: Asker, where: Filter, limit: int, cursor: str | None, *, brief: bool
) -> list[Any]:
    """Return one more than a page has. The server looks at some jobs at a time."""
    if cursor is not None and not re.fullmatch("[0-9]{1,15}", cursor):
        raise InvalidOption(f"cursor {cursor!r:.80}: pass on the one that the last page gave")
    rows: list[Any] = []
    below: str | bool = cursor or False
    while True:
        wanted = limit + 1 - len(rows)
        asked = (where.states, where.queues, where.tasks, where.tags)
        body = pack((*asked, where.cause or False, wanted, below, brief))
        stopped, found = asker.run(FIND, body)
        rows += found
        if len(rows) > limit or not stopped:
            return rows
        below = stopped.decode()


def _record(row: Sequence[Any]) -> Record:
    text, packed, reason, result, failure, past, job_id = row
    job = _job(packed)
    history = _history(past)
    last = history[-1].failure if history and not job.state.terminal else None
    return Record(
        message=_envelope(text, job, job_id.decode()),
        state=job.state,
        accepted_at=job.accepted,
        reason=reason.decode(),
        attempt=job.attempt,
        lost=job.lost,
        run_at=job.run_at or None,
        finished_at=job.finished or None,
        kept_until=job.kept or None,
        cancel_asked=job.state is State.RUNNING and job.cancelling is not False,
        holder=job.claim.rpartition(".")[0],
        result=None if result is None else msgspec.Raw(result),
        failure=last if failure is None else _failure(failure),
        history=history,
        seconds=None if job.seconds is False else job.seconds,
    )


def _envelope(text: bytes | None, job: _Job, job_id: str) -> Message:
    """Return a job's message; of one that this version cannot read, what else is known of it."""
    try:
        return _message(text or b"")
    except msgspec.DecodeError:
        body = msgspec.Raw(text or b"null")
        return Message(v=0, id=job_id, task=job.task, body=body, queue=job.queue)


def depth(asker: Asker, names: Sequence[str]) -> tuple[QueueStatus, ...]:
    """Return how queues are doing."""
    return tuple(_status(row) for row in asker.run(DEPTH, pack(names)))


def _status(row: bytes) -> QueueStatus:
    name, ready, scheduled, running, size, paused, max_depth, max_bytes, rate, due = unpack(row)
    limits = QueueLimits(
        max_depth=None if max_depth is False else max_depth,
        max_bytes=None if max_bytes is False else max_bytes,
    )
    return QueueStatus(
        name=name,
        ready=ready,
        scheduled=scheduled,
        running=running,
        bytes=size,
        paused=paused,
        limits=limits,
        drain_rate=float(rate),
        due_in=None if due is False else float(due),
    )


def load(asker: Asker, keys: Sequence[str]) -> dict[str, Entry]:
    """Return entries by key, but for those that have expired."""
    told = asker.run(LOAD, pack(keys))
    found = zip(keys, told, strict=True)
    return {key: Entry(key, entry[1], entry[0]) for key, entry in found if entry}


def scan(asker: Asker, prefix: str, limit: int, after: str) -> tuple[Entry, ...]:
    """Return the entries whose keys begin with a prefix, in order."""
    told = asker.run(SCAN, pack((prefix, after, limit)))
    rows = zip(told[::3], told[1::3], told[2::3], strict=True)
    return tuple(Entry(key.decode(), value, version) for key, version, value in rows)


def maintained(told: Sequence[int]) -> Maintained:
    """Return what a step of housekeeping did."""
    reclaimed, expired, pruned, more = told
    return Maintained(reclaimed=reclaimed, expired=expired, pruned=pruned, more=bool(more))
