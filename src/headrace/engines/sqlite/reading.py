"""What the ledger and the queues tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headrace.engines.sqlite.plan import Plan, Rows, do, document, sql
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

_message: Callable[[str], Message] = msgspec.json.Decoder(Message).decode
_failure: Callable[[str], Failure] = msgspec.json.Decoder(Failure).decode

# Few fail: they have an index, which is used only when its own condition is spelled out.
_FAILED = "select seq from headrace_finished where state <> 'succeeded'"

# What selects the jobs of a state without looking at all others; those that succeeded are the most,
# and found soonest by going backwards through all (`ifnull` keeps SQLite from going another way).
_IN_STATE = {
    State.SUCCEEDED: "ifnull(finished.state, '') = 'succeeded'",
    State.CANCELLED: f"job.seq in ({_FAILED} and state = 'cancelled')",
    State.DEAD: f"job.seq in ({_FAILED} and state = 'dead')",
    State.RUNNING: "job.seq in (select seq from headrace_running)",
    State.SCHEDULED: "scheduled.run_at > ?1",
    State.READY: "finished.seq is null and running.seq is null"
    " and coalesce(scheduled.run_at, ?1) <= ?1",
}


def get(ids: Sequence[str], now: float) -> Plan[dict[str, Record]]:
    """Return all that is known of jobs, by id."""
    wanted = " where job.id in (select value from json_each(?2))"
    rows = yield sql("records") + wanted, (now, document(ids))
    records = yield from _records(rows)
    return {record.id: record for record in records}


def in_places(seqs: str, now: float) -> Plan[list[Record]]:
    """Return all that is known of the jobs in some places, oldest first."""
    wanted = " where job.seq in (select value from json_each(?2)) order by job.seq"
    rows = yield sql("records") + wanted, (now, seqs)
    return (yield from _records(rows))


def states(ids: Sequence[str], now: float) -> Plan[dict[str, State]]:
    """Return the states of jobs, by id."""
    rows = yield do("job_where", document(ids), now)
    return {job_id: State(state) for _, job_id, state in rows}


def find(where: Filter, limit: int, cursor: str | None, now: float) -> Plan[Page]:
    """Return a page of jobs, newest first."""
    rows, following = yield from _find("records", where, limit, cursor, now)
    records = yield from _records(rows)
    return Page(tuple(records), following)


def find_ids(where: Filter, limit: int, cursor: str | None, now: float) -> Plan[IdPage]:
    """Return the ids of a page of jobs, newest first."""
    rows, following = yield from _find("ids", where, limit, cursor, now)
    return IdPage(tuple(job_id for _, job_id in rows), following)


def _find(
    name: str, where: Filter, limit: int, cursor: str | None, now: float
) -> Plan[tuple[Rows, str | None]]:
    """Return the rows of a page, whose first column is the place, and the next page's cursor."""
    conditions, parameters = _conditions(where, cursor)
    text = sql(name) + f" where {' and '.join(conditions)} order by job.seq desc limit ?"
    rows = yield text, (now, *parameters, limit + 1)
    more = len(rows) > limit
    return rows[:limit], str(rows[limit - 1][0]) if more else None


def _conditions(where: Filter, cursor: str | None) -> tuple[list[str], list[Any]]:
    conditions, parameters = ["1"], list[Any]()

    def add(condition: str, *values: Any) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if cursor is not None:
        if not re.fullmatch("[0-9]{1,18}", cursor):
            raise InvalidOption(f"cursor {cursor!r:.80}: pass on the one that the last page gave")
        add("job.seq < ?", int(cursor))
    if where.states:
        add("(" + " or ".join(_IN_STATE[state] for state in where.states) + ")")
    if where.queues:
        add("queue.name in (select value from json_each(?))", document(where.queues))
    if where.tasks:
        add("job.task in (select value from json_each(?))", document(where.tasks))
    for tag in where.tags:
        add("job.seq in (select seq from headrace_tag where tag = ?)", tag)
    if where.cause is not None:
        add(f"job.seq in ({_FAILED} and failure ->> 'cause' = ?)", where.cause)
    return conditions, parameters


def _records(rows: Rows) -> Plan[list[Record]]:
    past = yield do("history", document([row[0] for row in rows]))
    history: dict[int, list[Attempt]] = defaultdict(list)
    for seq, number, ended_at, counted, failure in past:
        history[seq].append(
            Attempt(
                number=number, ended_at=ended_at, counted=bool(counted), failure=_failure(failure)
            )
        )
    return [_record(row, tuple(history[row[0]])) for row in rows]


def _record(row: tuple[Any, ...], history: tuple[Attempt, ...]) -> Record:
    result, failure = row[12], row[13]
    state = State(row[3])
    last = history[-1].failure if history and state is not State.SUCCEEDED else None
    return Record(
        message=_envelope(*row[14:17], text=row[1]),
        accepted_at=row[2],
        state=state,
        reason=row[4],
        attempt=row[5],
        lost=row[6],
        run_at=row[7],
        finished_at=row[8],
        kept_until=row[9],
        cancel_asked=bool(row[10]),
        holder=row[11].rpartition(".")[0],
        result=None if result is None else msgspec.Raw(result),
        failure=_failure(failure) if failure is not None else last,
        history=history,
        seconds=row[17],
    )


def _envelope(job_id: str, task: str, queue: str, *, text: str) -> Message:
    """Return a job's message; of one that this version cannot read, what the columns tell."""
    try:
        return _message(text)
    except msgspec.DecodeError:
        return Message(v=0, id=job_id, task=task, body=msgspec.Raw(text.encode()), queue=queue)


def depth(names: Sequence[str], now: float) -> Plan[tuple[QueueStatus, ...]]:
    """Return how queues are doing."""
    rows = yield do("queue_status", now)
    known = {row[0]: _status(row, now) for row in rows}
    if not names:
        return tuple(known.values())
    return tuple(known.get(name) or QueueStatus(name=name) for name in names)


def _status(row: tuple[Any, ...], now: float) -> QueueStatus:
    name, total, scheduled, running, size, paused, max_depth, max_bytes, *rest = row
    rate, drained, drained_from, next_run_at = rest
    return QueueStatus(
        name=name,
        ready=total - scheduled - running,
        scheduled=scheduled,
        running=running,
        bytes=size,
        paused=bool(paused),
        limits=QueueLimits(max_depth=max_depth, max_bytes=max_bytes),
        drain_rate=drain_rate(rate, drained, drained_from, now),
        due_in=None if next_run_at is None else max(0.0, next_run_at - now),
    )


def drain_rate(rate: float, drained: int, drained_from: float, now: float) -> float:
    """Return the jobs finished a second: of the window under way, once it says enough."""
    elapsed = now - drained_from
    current = drained / max(1.0, elapsed)
    return current if elapsed > 1 else max(rate, current)
