"""What becomes of runs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.engines.postgresql.life import (
    DEFAULT_RETENTION,
    HistoryEntry,
    as_text,
    elect,
    end,
    ending,
    forget_live,
    give_back,
    keep_for,
    lock_groups,
    lock_groups_of,
    make_ready,
    reason_of,
    remember,
)
from headrace.engines.postgresql.plan import Moment, Plan, array, do, document
from headrace.errors import InvalidOption, LeaseLost
from headrace.message import Message
from headrace.record import Cause, Failure, State
from headrace.write import Settle, Settled, Settlement


class _Run(msgspec.Struct):
    """A settlement as the statements read it."""

    n: int
    s: int
    t: int
    c: str
    a: int
    k: float
    r: str | None
    d: float | None


def settle(write: Settle, moment: Moment) -> Plan[Settled]:
    """Record outcomes; a stale lease changes nothing."""
    now = moment.now
    settlements = write.settlements
    if any(s.to is State.RUNNING for s in settlements):
        raise InvalidOption("a run cannot be settled as running: extend its lease instead")
    # The first settlement of a run counts. By place: everybody locks in this order.
    distinct = list({_lease(s): s for s in reversed(settlements)}.values())
    distinct.sort(key=_place)
    groups = yield from _lock_groups(distinct)
    succeeded = [s for s in distinct if s.to is State.SUCCEEDED]
    others = [s for s in distinct if s.to is not State.SUCCEEDED]
    stale = (yield from _succeed(succeeded, now)) if succeeded else []
    if others:
        stale += yield from _end_or_go_on(others, now)
    yield from elect(groups)
    lost = frozenset(s.lease.job_id for s in stale)
    if len(distinct) < len(settlements):
        lost |= _repeated(settlements)
    if lost and write.strict:
        raise LeaseLost(f"the lease of job {', '.join(sorted(lost))} is lost: nothing was written")
    return Settled(lost=lost)


def _lease(settlement: Settlement) -> tuple[int, int, str]:
    lease = settlement.lease
    return (lease.place, lease.token, lease.claim)


def _place(settlement: Settlement) -> int:
    return settlement.lease.place


def _repeated(settlements: Sequence[Settlement]) -> frozenset[str]:
    """Return the ids of the jobs whose run is settled more than once."""
    first: set[tuple[int, int, str]] = set()
    ids = set()
    for settlement in settlements:
        lease = _lease(settlement)
        if lease in first:
            ids.add(settlement.lease.job_id)
        first.add(lease)
    return frozenset(ids)


def _lock_groups(settlements: Sequence[Settlement]) -> Plan[list[tuple[int, str]]]:
    """Lock the groups of jobs with an order key, before the jobs themselves."""
    places = [s.lease.place for s in settlements if s.lease.message.order_key is not None]
    return (yield from lock_groups_of(places)) if places else (yield from lock_groups(()))


def _runs(settlements: Sequence[Settlement]) -> str:
    keep = DEFAULT_RETENTION.succeeded
    return document(
        [
            _Run(
                number,
                (lease := s.lease).place,
                lease.token,
                lease.claim,
                lease.attempt,
                own.succeeded if (own := lease.message.retention) else keep,
                None if s.result is None else bytes(s.result).decode(),
                s.seconds,
            )
            for number, s in enumerate(settlements)
        ]
    )


def _succeed(settlements: Sequence[Settlement], now: float) -> Plan[list[Settlement]]:
    """End those that succeeded; return those whose lease is lost."""
    ((asked, lost),) = yield do("settle_succeeded", _runs(settlements), now)
    numbers: set[int] = set(msgspec.json.decode(lost)) if lost else set()
    gone = [s for number, s in enumerate(settlements) if number not in numbers]
    left = [s.lease.place for s in gone if asked or _has_live_rows(s.lease.message)]
    if left:
        yield from forget_live(left, counted=True)
    return [settlements[number] for number in sorted(numbers)]


def _has_live_rows(message: Message) -> bool:
    """Return whether there are rows about the job that end with its life."""
    timed = message.expires is not None or message.expires_after is not None
    return timed or message.order_key is not None or message.unique_key is not None


def _end_or_go_on(settlements: Sequence[Settlement], now: float) -> Plan[list[Settlement]]:
    """End or requeue those that did not succeed; return those whose lease is lost."""
    rows = yield do("settle_hold", _runs(settlements))
    held = {number for (number,) in rows}
    valid = [s for number, s in enumerate(settlements) if number in held]
    if valid:
        # Only now: whoever asks to cancel a job locks it, too.
        asked = yield do("cancelling_among", array(map(_place, valid)))
        reasons = {seq: reason_of(text) for seq, text in asked}
        yield from _go_on([_cancelled(s, reasons) for s in valid], now)
    return [s for number, s in enumerate(settlements) if number not in held]


def _cancelled(settlement: Settlement, reasons: dict[int, str]) -> Settlement:
    """A job that was to be cancelled is not run again; one that ended first has won."""
    reason = reasons.get(settlement.lease.place)
    if reason is None or settlement.to.terminal:
        return settlement
    return Settlement(
        lease=settlement.lease,
        to=State.CANCELLED,
        counted=settlement.counted,
        failure=Failure(cause=Cause.CANCELLED, message=reason),
    )


def _go_on(settlements: Sequence[Settlement], now: float) -> Plan[None]:
    entries = [
        HistoryEntry(s.lease.place, s.lease.attempt, s.counted, as_text(s.failure))
        for s in settlements
        if s.failure is not None
    ]
    if entries:
        yield from remember(entries, now)
    counted = [{"s": s.lease.place, "a": 1, "l": 0} for s in settlements if s.counted]
    if counted:
        yield do("tally_add", document(counted))
    ended = [s for s in settlements if s.to.terminal]
    if ended:
        yield do("running_delete", array(map(_place, ended)))
        endings = [
            ending(
                s.lease.place,
                s.to,
                s.lease.attempt if s.counted else s.lease.attempt - 1,
                keep_for(s.to, s.lease.message.retention),
                s.failure or Failure(cause=Cause.REJECTED),
            )
            for s in ended
        ]
        yield from end(endings, now)
    yield from _schedule([s for s in settlements if s.to is State.SCHEDULED], now)
    yield from give_back([s.lease.place for s in settlements if s.to is State.READY], now)


def _schedule(settlements: Sequence[Settlement], now: float) -> Plan[None]:
    if not settlements:
        return
    due = [s.lease.place for s in settlements if s.delay <= 0]
    later = [{"s": s.lease.place, "r": now + s.delay} for s in settlements if s.delay > 0]
    chosen = array(map(_place, settlements))
    yield do("running_delete", chosen)
    yield do("group_vacate", chosen)
    if later:
        yield do("scheduled_insert", document(later))
    yield from make_ready(due)
