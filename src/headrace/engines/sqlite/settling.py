"""What becomes of runs."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.engines.sqlite.leasing import claims
from headrace.engines.sqlite.life import (
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
from headrace.errors import LeaseLost
from headrace.record import Cause, Failure, State
from headrace.write import Settle, Settled, Settlement


def settle(write: Settle, now: float) -> Plan[Settled]:
    """Record outcomes; a stale lease changes nothing."""
    settlements, lost = yield from _current(write)
    ((asked,),) = yield do("cancelling_any")
    if asked:
        settlements = yield from _obey_cancelling(settlements)
    succeeded = [s for s in settlements if s.to is State.SUCCEEDED]
    if succeeded:
        yield from _succeed(succeeded, now, plain=not asked)
    if len(succeeded) < len(settlements):
        others = [s for s in settlements if s.to is not State.SUCCEEDED]
        yield from _end_or_go_on(others, now)
    return Settled(lost=lost)


def _current(write: Settle) -> Plan[tuple[Sequence[Settlement], frozenset[str]]]:
    """Part the settlements whose lease is the job's newest from the stale ones."""
    settlements = write.settlements
    rows = yield do("stale", claims([s.lease for s in settlements]))
    stale = {index for (index,) in rows}
    places: set[int] = set()
    for index, settlement in enumerate(settlements):
        if settlement.lease.place in places:
            stale.add(index)  # the same lease twice: the first one counts
        places.add(settlement.lease.place)
    if not stale:
        return settlements, frozenset()
    lost = frozenset(settlements[index].lease.job_id for index in stale)
    if write.strict:
        text = f"the lease of job {', '.join(sorted(lost))} is lost: nothing was written"
        raise LeaseLost(text)
    return [s for index, s in enumerate(settlements) if index not in stale], lost


def _obey_cancelling(settlements: Sequence[Settlement]) -> Plan[Sequence[Settlement]]:
    """A job that was to be cancelled is not run again; one that ended first has won."""
    rows = yield do("cancelling_among", document([s.lease.place for s in settlements]))
    return [_cancelled(s, dict(rows)) for s in settlements]


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


def _succeed(settlements: Sequence[Settlement], now: float, *, plain: bool) -> Plan[None]:
    rows = []
    seqs = []
    groups = False
    for settlement in settlements:
        lease = settlement.lease
        message = lease.message
        keep = keep_for(State.SUCCEEDED, message.retention)
        rows.append((lease.place, lease.attempt, keep, settlement.result))
        seqs.append(lease.place)
        if message.order_key or message.unique_key or message.expires or message.expires_after:
            plain = False
            groups = groups or message.order_key is not None
    chosen = document(seqs)
    held = (yield from groups_of(chosen)) if groups else []
    yield do("finish_succeeded", document(rows), now)
    yield do("running_delete", chosen)
    if plain:
        yield do("finish_count", chosen, now)
    else:
        yield from forget_live(chosen, now)
    yield from elect(held)


def _end_or_go_on(settlements: Sequence[Settlement], now: float) -> Plan[None]:
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
