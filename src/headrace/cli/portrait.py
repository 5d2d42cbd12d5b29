"""Portrait: a job as the command line shows it: a row, a page, or JSON."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from headrace.cli.output import Block, Column, fields
from headrace.cli.text import duration, moment, one_line, plain
from headrace.job import Progress
from headrace.record import Attempt, Failure, Record

COLUMNS = (
    Column("id", whole=True),
    Column("state"),
    Column("task"),
    Column("queue"),
    Column("tries", right=True),
    Column("age", right=True),
    Column("note"),
)
_NOTE_LENGTH = 100


def row(record: Record, now: float) -> tuple[object, ...]:
    """Return a job as a row below `COLUMNS`.

    Args:
        record: the job.
        now: seconds since 1970 UTC.
    """
    return (
        record.id,
        record.state,
        record.message.task,
        record.message.queue,
        record.attempt,
        duration(now - record.accepted_at),
        note(record),
    )


def note(record: Record) -> str:
    """Say in a few words why a job is where it is."""
    if record.failure is not None:
        return one_line(_summary(record.failure))[:_NOTE_LENGTH]
    if record.cancel_asked:
        return "cancelling was asked for"
    if record.run_at is not None:
        return f"due {moment(record.run_at)}"
    return record.reason


def as_json(record: Record) -> dict[str, Any]:
    """Return all that is known of a job, as `docs/reference/cli.md` lists it."""
    message = record.message
    return {
        "id": record.id,
        "task": message.task,
        "queue": message.queue,
        "state": str(record.state),
        "reason": record.reason,
        "priority": message.priority,
        "attempt": record.attempt,
        "lost": record.lost,
        "accepted_at": moment(record.accepted_at),
        "run_at": moment(record.run_at),
        "expires_at": moment(_expires(record)),
        "finished_at": moment(record.finished_at),
        "seconds": record.seconds,
        "kept_until": moment(record.kept_until),
        "cancel_asked": record.cancel_asked,
        "holder": record.holder,
        "unique_key": message.unique_key,
        "order_key": message.order_key,
        "timeout": message.timeout,
        "lease": message.lease,
        "tags": list(message.tags),
        "headers": message.headers,
        "trace": message.trace,
        "arguments": _value(message.body),
        "result": _value(record.result),
        "failure": _failure(record.failure),
        "history": [_attempt(attempt) for attempt in record.history],
    }


def show(record: Record, progress: Progress | None) -> None:
    """Print all that is known of a job."""
    known = as_json(record)
    failure, history = known.pop("failure"), known.pop("history")
    known |= {
        "reason": note(record),
        "cancel_asked": "yes" if record.cancel_asked else "",
        "tags": ", ".join(record.message.tags),
        "headers": ", ".join(f"{name}={text}" for name, text in record.message.headers.items()),
        "arguments": _text(record.message.body),
        "result": _text(record.result),
        "progress": progress and _far(progress),
    }
    fields([(name.replace("_", " "), value) for name, value in known.items()])
    # The failure of a job that goes on is that of its last attempt.
    if failure is not None and (record.state.terminal or not history):
        click.echo("failure")
        fields(_failure_fields(failure), indent=2)
    for attempt in history:
        counted = "" if attempt["counted"] else ", not counted"
        click.echo(f"attempt {attempt['number']}, ended {attempt['ended_at']}{counted}")
        fields(_failure_fields(attempt["failure"]), indent=2)


def _far(progress: Progress) -> str:
    total = "" if progress.total is None else f" of {progress.total:g}"
    return f"{progress.done:g}{total} {progress.note}".rstrip()


def _failure_fields(failure: dict[str, Any]) -> list[tuple[str, object]]:
    many = {"traceback": Block(failure["traceback"]), "logs": Block("\n".join(failure["logs"]))}
    return list((failure | many).items())


def _summary(failure: Failure) -> str:
    return ": ".join(part for part in (failure.cause, failure.type, failure.message) if part)


def _expires(record: Record) -> float | None:
    message = record.message
    if message.expires_after is not None:
        return record.accepted_at + message.expires_after
    return message.expires


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "cause": failure.cause,
        "type": failure.type,
        "message": failure.message,
        "traceback": failure.traceback,
        "logs": list(failure.logs),
        "holder": failure.holder,
        "seconds": failure.seconds,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "ended_at": moment(attempt.ended_at),
        "counted": attempt.counted,
        "failure": _failure(attempt.failure),
    }


def _value(raw: msgspec.Raw | None) -> Any:
    """Return stored JSON as a value; as text, should it be damaged."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return _text(raw)


def _text(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else plain(bytes(raw).decode("utf-8", "replace"))
