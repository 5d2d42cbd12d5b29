"""Life: what a job went through, step by step, told from what the ledger keeps of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from headrace.ids import born
from headrace.record import Attempt, Cause, Record, State
from headrace.trace import PARENT, of, of_run, received

Kind = Literal["request", "submit", "wait", "run", "failed"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a job's life. Moments are seconds since 1970 UTC.

    Attributes:
        kind: the HTTP request that brought the job, or the submit; waiting; a run that ended well
            or goes on; one that failed.
        start: when it began.
        end: when it ended; now, if it goes on.
        ongoing: whether it goes on.
        number: of a run: its attempt.
        span: of whatever is no waiting: its place in the trace.
        parent: the span that it belongs to; "" if none is known.
        before: of a run: the span of the run before it.
        note: what a reader should know besides.
    """

    kind: Kind
    start: float
    end: float
    ongoing: bool = False
    number: int = 0
    span: str = ""
    parent: str = ""
    before: str = ""
    note: str = ""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """A job and what it went through.

    Attributes:
        record: what the ledger knows of it.
        steps: in order.
        children: what was submitted in its runs or tells of it, oldest first.
    """

    record: Record
    steps: tuple[Step, ...]
    children: tuple[Life, ...] = ()


def grow(records: Sequence[Record], now: float) -> tuple[Life, ...]:
    """Return the lives of the jobs of a trace: those that no other began, with their children.

    Args:
        records: the jobs.
        now: what goes on has lasted until then, seconds since 1970 UTC.
    """
    steps = {record.id: steps_of(record, now) for record in records}
    below: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: (record.accepted_at, record.id)):
        parent = record.message.headers.get(PARENT, "")
        below.setdefault(parent if parent in steps else "", []).append(record)

    def lives(parent: str, above: frozenset[str]) -> tuple[Life, ...]:
        return tuple(
            Life(
                record=record,
                steps=_below(steps[record.id], steps.get(parent, ())),
                children=lives(record.id, above | {record.id}),
            )
            for record in below.get(parent, ())
            if record.id not in above
        )

    return lives("", frozenset())


def steps_of(record: Record, now: float) -> tuple[Step, ...]:
    """Return what a job went through until now."""
    first = _arrival(record)
    return (first, *_after(record, first.span, now))


def _arrival(record: Record) -> Step:
    message, accepted = record.message, record.accepted_at
    request, span = received(message.headers), of(message).span_id
    if request is not None:
        start, caller = request
        return Step(
            kind="request", start=min(start, accepted), end=accepted, span=span, parent=caller
        )
    made = born(message.id)
    start = accepted if made is None else min(made, accepted)
    return Step(kind="submit", start=start, end=accepted, span=span)


def _after(record: Record, arrival: str, now: float) -> Iterator[Step]:
    since, lost, before = record.accepted_at, 0, ""
    known: Counter[tuple[int, int]] = Counter()
    for attempt in record.history:
        run = _run_of(record, attempt, since, (lost, known[attempt.number, lost]))
        known[attempt.number, lost] += 1
        lost += attempt.failure.cause in (Cause.LEASE_LOST, Cause.CRASH_LOOP)
        if run is None:
            note = attempt.failure.cause
            yield Step(kind="wait", start=since, end=max(since, attempt.ended_at), note=note)
            lost, before = 0, ""
            known.clear()
        else:
            yield from _waiting(since, run.start)
            yield msgspec.structs.replace(run, parent=arrival, before=before)
            before = run.span
        since = max(since, attempt.ended_at)
    again = known[record.attempt, lost]
    place = of_run(record.message, record.attempt, lost, again)
    yield from _last(record, since, now, (place.span_id, arrival, before))


def _run_of(record: Record, attempt: Attempt, since: float, which: tuple[int, int]) -> Step | None:
    """Return the run that an entry of the history tells of; None if it tells of none."""
    failure = attempt.failure
    if failure.cause == Cause.REDRIVEN:
        return None
    end = max(since, attempt.ended_at)
    what = failure.type or failure.cause
    note = f"{what}: {failure.message}" if failure.message else what
    if failure.seconds is None:
        note += ", begin unknown"
    return Step(
        kind="failed",
        start=since if failure.seconds is None else max(since, end - failure.seconds),
        end=end,
        number=attempt.number,
        span=of_run(record.message, attempt.number, *which).span_id,
        note=note,
    )


def _last(record: Record, since: float, now: float, spans: tuple[str, str, str]) -> Iterator[Step]:
    """Yield what came after the history's last entry."""
    ended = record.finished_at
    run = Step(
        kind="run",
        start=since,
        end=max(since, now if ended is None else ended),
        number=record.attempt,
        span=spans[0],
        parent=spans[1],
        before=spans[2],
    )
    if record.state is State.SUCCEEDED and record.seconds is None:
        yield msgspec.structs.replace(run, note="begin unknown")
    elif record.state is State.SUCCEEDED:
        start = max(since, run.end - (record.seconds or 0.0))
        yield from _waiting(since, start)
        yield msgspec.structs.replace(run, start=start)
    elif record.state is State.RUNNING:
        yield msgspec.structs.replace(run, ongoing=True, note="goes on, begin unknown")
    elif ended is None:
        yield Step(kind="wait", start=since, end=run.end, ongoing=True, note=_why(record))
    elif ended > since:
        cause = "" if record.failure is None else record.failure.cause
        yield Step(kind="wait", start=since, end=run.end, note=cause)


def _waiting(since: float, until: float) -> Iterator[Step]:
    if until > since:
        yield Step(kind="wait", start=since, end=until)


def _why(record: Record) -> str:
    return record.reason or record.state.value


def _below(steps: tuple[Step, ...], parents: tuple[Step, ...]) -> tuple[Step, ...]:
    """Put what a job began with below the run of its parent in which that was."""
    arrival, *rest = steps
    runs = [step for step in parents if step.kind in ("run", "failed")]
    around = [run for run in runs if run.start <= arrival.end]
    if arrival.parent or not runs:
        return steps
    parent = (around or runs)[-1].span
    return (msgspec.structs.replace(arrival, parent=parent), *rest)
