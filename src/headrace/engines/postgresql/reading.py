"""What the ledger and the queues tell, each by one look at one state of the database."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from headrace.engines.postgresql.plan import Moment, Plan, Rows, array, do, document, sql, texts
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
_FAILED = "select seq from headrace.finished where state <> 'succeeded'"

_LISTED = "select json_array_elements_text($$::text::json)"

# What selects the jobs of a state without looking at all others; those that succeeded are the most,
# and found soonest by going backwards through all.
_IN_STATE = {
    State.SUCCEEDED: "coalesce(finished.state, '') = 'succeeded'",
    State.CANCELLED: f"job.seq in ({_FAILED} and state = 'cancelled')",
    State.DEAD: f"job.seq in ({_FAILED} and state = 'dead')",
    State.RUNNING: "job.seq in (select seq from headrace.running)",
    State.SCHEDULED: "scheduled.run_at > $1::float8",
    State.READY: "finished.seq is null and running.seq is null"
    " and coalesce(scheduled.run_at, $1::float8) <= $1::float8",
}


# What can be a job's id: anything else is one that nobody knows.
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_id(text: str) -> bool:
    """Return whether a text can be the id of a job here."""
    return _UUID.fullmatch(text) is not None


def known_ids(ids: Iterable[str]) -> str:
    """Return, as an array, those ids that can be any job's."""
    return texts(job_id for job_id in ids if is_id(job_id))


def get(ids: Sequence[str], moment: Moment) -> Plan[dict[str, Record]]:
    """Return all that is known of jobs, by id."""
    wanted = " where job.id = any ((select $2::text::uuid[])::uuid[])"
    rows = yield sql("records") + wanted, (moment.now, known_ids(ids))
    records = yield from _records(rows)
    return {record.id: record for record in records}


def in_places(seqs: Sequence[int], moment: Moment) -> Plan[list[Record]]:
    """Return all that is known of the jobs in some places, oldest first."""
    wanted = " where job.seq = any ((select $2::text::bigint[])::bigint[]) order by job.seq"
    rows = yield sql("records") + wanted, (moment.now, array(seqs))
    return (yield from _records(rows))


def states(ids: Sequence[str], moment: Moment) -> Plan[dict[str, State]]:
    """Return the states of jobs, by id."""
    rows = yield do("job_states", known_ids(ids), moment.now)
    return {job_id: State(state) for _, job_id, state in rows}


def find(where: Filter, limit: int, cursor: str | None, moment: Moment) -> Plan[Page]:
    """Return a page of jobs, newest first."""
    rows, following = yield from _find("records", where, limit, cursor, moment)
    records = yield from _records(rows)
    return Page(tuple(records), following)


def find_ids(where: Filter, limit: int, cursor: str | None, moment: Moment) -> Plan[IdPage]:
    """Return the ids of a page of jobs, newest first."""
    rows, following = yield from _find("ids", where, limit, cursor, moment)
    return IdPage(tuple(job_id for _, job_id in rows), following)


def _find(
    name: str, where: Filter, limit: int, cursor: str | None, moment: Moment
) -> Plan[tuple[Rows, str | None]]:
    """Return the rows of a page, whose first column is the place, and the next page's cursor."""
    conditions, parameters = _conditions(where, cursor, moment.now)
    parameters.append(limit + 1)
    text = (
        f"{sql(name)} where {' and '.join(conditions)}"
        f" order by job.seq desc limit ${len(parameters)}::bigint"
    )
    rows = yield text, tuple(parameters)
    more = len(rows) > limit
    return rows[:limit], str(rows[limit - 1][0]) if more else None


def _conditions(where: Filter, cursor: str | None, now: float) -> tuple[list[str], list[Any]]:
    conditions, parameters = ["true"], list[Any]([now])

    def add(condition: str, value: Any) -> None:
        parameters.append(value)
        conditions.append(condition.replace("$$", f"${len(parameters)}"))

    if cursor is not None:
        if not re.fullmatch("[0-9]{1,18}", cursor):
            raise InvalidOption(f"cursor {cursor!r:.80}: pass on the one that the last page gave")
        add("job.seq < $$::bigint", int(cursor))
    if where.states:
        conditions.append("(" + " or ".join(_IN_STATE[state] for state in where.states) + ")")
    if where.queues:
        add(f"queue.name in ({_LISTED})", document(where.queues))
    if where.tasks:
        add(f"job.task in ({_LISTED})", document(where.tasks))
    for tag in where.tags:
        add("job.seq in (select seq from headrace.tag where tag = $$::text)", tag)
    if where.cause is not None:
        add(f"job.seq in ({_FAILED} and cause = $$::text)", where.cause)
    return conditions, parameters


def _records(rows: Rows) -> Plan[list[Record]]:
    past = yield do("history", array([row[0] for row in rows]))
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
        result=None if result is None else msgspec.Raw(result.encode()),
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


def depth(names: Sequence[str], moment: Moment) -> Plan[tuple[QueueStatus, ...]]:
    """Return how queues are doing."""
    rows = yield do("queue_status", moment.now)
    known = {row[0]: _status(row, moment.now) for row in rows}
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
