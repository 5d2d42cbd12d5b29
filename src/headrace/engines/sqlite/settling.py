"""What becomes of runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import msgspec

from headrace.engines.sqlite.life import (
    DEFAULT_RETENTION,
    Ending,
    HistoryEntry,
    elect,
    end,
    forget_live,
    give_back,
    groups_of,
    keep_for,
    make_ready,
)
from headrace.engines.sqlite.plan import Plan, do, document
from headrace.errors import InvalidOption, LeaseLost
from headrace.message import Message
from headrace.record import Cause, Failure, State
from headrace.write import Settle, Settled, Settlement


class _Run(msgspec.Struct, array_like=True, gc=False):
    """A settlement as the statements read it."""

    seq: int
    token: int
    claim: str
    attempt: int
    keep: float
    result: msgspec.Raw | None


def settle(write: Settle, now: float) -> Plan[Settled]:
    """Record outcomes; a stale lease changes nothing."""
    current = yield from _current(write)
    settlements = current.settlements
    ((asked,),) = yield do("cancelling_any")
    if asked:
        settlements = yield from _obey_cancelling(settlements)
    succeeded = [s.to is State.SUCCEEDED for s in settlements]
    if all(succeeded):
        yield from _succeed(current.runs, current.text, settlements, now, plain=not asked)
        return Settled(lost=current.lost)
    if any(succeeded):
        runs = list(compress(current.runs, succeeded))
        chosen = list(compress(settlements, succeeded))
        yield from _succeed(runs, document(runs), chosen, now, plain=not asked)
    yield from _end_or_go_on([s for s in settlements if s.to is not State.SUCCEEDED], now)
    return Settled(lost=current.lost)


class _Current(NamedTuple):
    """The settlements whose lease is the job's newest, and the ids of the others' jobs."""

    settlements: Sequence[Settlement]
    runs: list[_Run]
    text: str  # the runs as a document
    lost: frozenset[str] = frozenset()


def _runs(settlements: Sequence[Settlement]) -> list[_Run]:
    keep = DEFAULT_RETENTION.succeeded
    return [
        _Run(
            (lease := s.lease).place,
            lease.token,
            lease.claim,
            lease.attempt,
            own.succeeded if (own := lease.message.retention) else keep,
            s.result,
        )
        for s in settlements
    ]


def _current(write: Settle) -> Plan[_Current]:
    """Part the settlements whose lease is the job's newest from the stale ones."""
    settlements = write.settlements
    runs = _runs(settlements)
    text = document(runs)
    rows = yield do("stale", text)
    stale = {index for (index,) in rows} | _repeated(runs)
    if not stale:
        return _Current(settlements, runs, text)
    lost = frozenset(settlements[index].lease.job_id for index in stale)
    if write.strict:
        reason = f"the lease of job {', '.join(sorted(lost))} is lost: nothing was written"
        raise LeaseLost(reason)
    valid = [s for index, s in enumerate(settlements) if index not in stale]
    runs = _runs(valid)
    return _Current(valid, runs, document(runs), lost)


def _repeated(runs: Sequence[_Run]) -> set[int]:
    """Return the indexes of settlements of one and the same run: the first one counts."""
    if len({run.seq for run in runs}) == len(runs):
        return set()
    # A stale lease beside the newest one of the same job is another run, and takes nothing from it.
    first = {_lease(run): index for index, run in reversed(list(enumerate(runs)))}
    return {index for index, run in enumerate(runs) if first[_lease(run)] != index}


def _lease(run: _Run) -> tuple[int, int, str]:
    return (run.seq, run.token, run.claim)


def _obey_cancelling(settlements: Sequence[Settlement]) -> Plan[Sequence[Settlement]]:
    """A job that was to be cancelled is not run again; one that ended first has won."""
    rows = yield do("cancelling_among", document([s.lease.place for s in settlements]))
    reasons: dict[int, str] = dict(rows)
    return [_cancelled(s, reasons) for s in settlements]


def _cancelled(settlement: Settlement, reasons: dict[int, str]) -> Settlement:
    reason = reasons.get(settlement.lease.place)
    if reason is None or settlement.to.terminal:
        return settlement
    return Settlement(
        lease=settlement.lease,
        to=State.CANCELLED,
        counted=settlement.counted,
        failure=Failure(cause=Cause.CANCELLED, message=reason),
    )


def _succeed(
    runs: Sequence[_Run], text: str, settlements: Sequence[Settlement], now: float, *, plain: bool
) -> Plan[None]:
    chosen = document([run.seq for run in runs])
    special = [s for s in settlements if _has_live_rows(s.lease.message)]
    held = (yield from groups_of(chosen)) if special else []
    yield do("finish_succeeded", text, now)
    yield do("running_delete", chosen)
    if plain and not special:
        yield do("finish_count", chosen, now)
    else:
        yield from forget_live(chosen, now)
    yield from elect(held)


def _has_live_rows(message: Message) -> bool:
    """Return whether there are rows about the job that end with its life."""
    timed = message.expires is not None or message.expires_after is not None
    return timed or message.order_key is not None or message.unique_key is not None


def _end_or_go_on(settlements: Sequence[Settlement], now: float) -> Plan[None]:
    if any(s.to is State.RUNNING for s in settlements):
        raise InvalidOption("a run cannot be settled as running: extend its lease instead")
    entries = [
        HistoryEntry(s.lease.place, s.lease.attempt, s.counted, s.failure)
        for s in settlements
        if s.failure is not None
    ]
    if entries:
        yield do("history_insert", document(entries), now)
    counted = [(s.lease.place, 1, 0) for s in settlements if s.counted]
    if counted:
        yield do("tally_add", document(counted))
    yield from end([_ending(s) for s in settlements if s.to.terminal], now)
    yield from _schedule([s for s in settlements if s.to is State.SCHEDULED], now)
    yield from give_back([s.lease.place for s in settlements if s.to is State.READY], now)


def _ending(settlement: Settlement) -> Ending:
    lease = settlement.lease
    return Ending(
        lease.place,
        settlement.to,
        lease.attempt if settlement.counted else lease.attempt - 1,
        keep_for(settlement.to, lease.message.retention),
        settlement.failure or Failure(cause=Cause.REJECTED),
    )


def _schedule(settlements: Sequence[Settlement], now: float) -> Plan[None]:
    if not settlements:
        return
    due = [s.lease.place for s in settlements if s.delay <= 0]
    rows = [(s.lease.place, now + s.delay) for s in settlements if s.delay > 0]
    chosen = document([s.lease.place for s in settlements])
    yield do("running_delete", chosen)
    yield do("scheduled_insert", document(rows))
    yield from make_ready(due)
    yield from elect((yield from groups_of(chosen)))
