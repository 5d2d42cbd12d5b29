"""What becomes of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from headrace.engines.sqlite.leasing import proof
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
    remember,
)
from headrace.engines.sqlite.plan import Plan, digits, do, document, numbers, texts
from headrace.errors import InvalidOption, LeaseLost
from headrace.message import Message
from headrace.record import Cause, Failure, State
from headrace.write import Settle, Settled, Settlement


def settle(write: Settle, now: float) -> Plan[Settled]:
    """Record outcomes; a stale lease changes nothing."""
    fresh = yield from _fresh(write)
    settlements = fresh.settlements
    if fresh.asked:
        settlements = yield from _obey_cancelling(settlements)
    succeeded = [s for s in settlements if s.to is State.SUCCEEDED]
    if succeeded:
        yield from _succeed(succeeded, now, plain=not fresh.asked)
    if len(succeeded) < len(settlements):
        others = [s for s in settlements if s.to is not State.SUCCEEDED]
        yield from _end_or_go_on(others, now)
    return Settled(lost=fresh.lost)


class _Fresh(NamedTuple):
    """The settlements whose lease is the job's newest, and the ids of the others' jobs."""

    settlements: Sequence[Settlement]
    asked: bool  # whether somebody asked to cancel a running job, be it one of these or not
    lost: frozenset[str] = frozenset()


def _fresh(write: Settle) -> Plan[_Fresh]:
    """Part the settlements whose lease is the job's newest from the stale ones."""
    settlements = write.settlements
    claims: dict[tuple[int, str], list[int]] = defaultdict(list)
    for settlement in settlements:
        lease = settlement.lease
        claims[lease.token, lease.claim].append(lease.place)
    held, asked = 0, False
    for (token, claim), places in claims.items():
        ((found, asked),) = yield do("held", numbers(places), token, claim)
        held += found if len(set(places)) == len(places) else 0
    if held == len(settlements):
        return _Fresh(settlements, bool(asked))
    rows = yield do("stale", proof([s.lease for s in settlements]))
    stale = {index for (index,) in rows} | _repeated(settlements)
    lost = frozenset(settlements[index].lease.job_id for index in stale)
    if write.strict and stale:
        reason = f"the lease of job {', '.join(sorted(lost))} is lost: nothing was written"
        raise LeaseLost(reason)
    return _Fresh([s for n, s in enumerate(settlements) if n not in stale], bool(asked), lost)


def _repeated(settlements: Sequence[Settlement]) -> set[int]:
    """Return the indexes of settlements of one and the same run: the first one counts."""
    # A stale lease beside the newest one of the same job is another run, and takes nothing from it.
    runs = [(s.lease.place, s.lease.token, s.lease.claim) for s in settlements]
    first = {run: index for index, run in reversed(list(enumerate(runs)))}
    return {index for index, run in enumerate(runs) if first[run] != index}


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


def _succeed(settlements: Sequence[Settlement], now: float, *, plain: bool) -> Plan[None]:
    chosen = document([s.lease.place for s in settlements])
    special = any(_has_live_rows(s.lease.message) for s in settlements)
    held = (yield from groups_of(chosen)) if special else []
    alike: dict[tuple[int, float], list[Settlement]] = defaultdict(list)
    for settlement in settlements:
        lease = settlement.lease
        own = lease.message.retention
        keep = DEFAULT_RETENTION.succeeded if own is None else own.succeeded
        alike[lease.attempt, keep].append(settlement)
    for (attempt, keep), group in alike.items():
        places = digits([s.lease.place for s in group])
        results, lasted = texts([_result(s) for s in group]), digits(map(_microseconds, group))
        yield do("finish_succeeded", results, places, attempt, now, keep, lasted)
    yield do("running_delete", chosen)
    if plain and not special:
        yield do("finish_count", chosen, now)
    else:
        yield from forget_live(chosen, now)
    yield from elect(held)


def _result(settlement: Settlement) -> str:
    return "" if settlement.result is None else bytes(settlement.result).decode()


def _microseconds(settlement: Settlement) -> int:
    return -1 if settlement.seconds is None else int(settlement.seconds * 1e6)


def _has_live_rows(message: Message) -> bool:
    """Return whether there are rows about the job that end with its life."""
    return message.expiring or message.order_key is not None or message.unique_key is not None


def _end_or_go_on(settlements: Sequence[Settlement], now: float) -> Plan[None]:
    if any(s.to is State.RUNNING for s in settlements):
        raise InvalidOption("a run cannot be settled as running: extend its lease instead")
    entries = [
        HistoryEntry(s.lease.place, s.lease.attempt, s.counted, s.failure)
        for s in settlements
        if s.failure is not None
    ]
    if entries:
        yield from remember(entries, now)
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
