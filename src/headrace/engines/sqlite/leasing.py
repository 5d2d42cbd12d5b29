"""How jobs are claimed, kept and lost."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.engines.sqlite.life import end_all, lose, make_ready
from headrace.engines.sqlite.plan import Plan, do, document
from headrace.record import Cause, Failure, State
from headrace.write import Extend, Extended, Lease, Reclaim, Reclaimed


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker asks for.

    Attributes:
        queues: names of the queues, in the order in which they are looked at.
        limit: jobs at most.
        seconds: how long the leases last.
        name: the claim's random id, beginning with the holder's.
    """

    queues: tuple[str, ...]
    limit: int
    seconds: float
    name: str


_WAKE_STEPS = 10
_CLAIM_BYTES = 16 * 1024 * 1024
"""A claim ends with the queue's job that would exceed it, or a little earlier."""
_NONCE_LENGTH = 17  # a dot and 16 digits

_lease = msgspec.json.Decoder(Lease).decode
_leases = msgspec.json.Decoder(tuple[Lease, ...]).decode
_raw_leases = msgspec.json.Decoder(list[msgspec.Raw]).decode


def lease(claim: Claim, now: float, monotonic: float) -> Plan[tuple[Lease, ...]]:
    """Claim jobs for a worker."""
    names = document(claim.queues)
    rows = yield do("claim_queues", names, now)
    if not rows or rows[0][-1]:
        yield from wake_due(now)
        rows = yield do("claim_queues", names, now)
    overdue = any(row[-1] for row in rows)  # some are left only if there were very many
    place = {name: index for index, name in enumerate(claim.queues)}
    found = sorted(rows, key=lambda row: place[row[0]])
    suspects = [-queue for _, queue, _, suspect, _ in found if suspect]
    filled = [queue for _, queue, ready, _, _ in found if ready]
    queues, limit = (suspects[:1], 1) if suspects else (filled, claim.limit)
    if not queues:
        return ()
    picked = yield from _pick_fairly(queues, limit)
    if overdue:
        rows = yield do("late_among", document(picked), now)
        late = {seq for (seq,) in rows}
        yield from _end_late(sorted(late), now)
        picked = [seq for seq in picked if seq not in late]
    return (yield from _take(claim, picked, now, monotonic))


def claimable_in(queues: Sequence[str], now: float) -> Plan[float]:
    """Return the seconds until one of the queues may have a job to claim; 0 means now."""
    ((ready, due),) = yield do("claim_soon", document(queues))
    if ready:
        return 0.0
    return float("inf") if due is None else max(0.0, due - now)


def wake_due(now: float) -> Plan[int]:
    """Make due jobs ready and end those that are too late; return how many were too late."""
    ended = 0
    # In steps of a thousand, and not for ever: others want to write, too.
    for _ in range(_WAKE_STEPS):
        ((due, late),) = yield do("claim_lookout", now)
        if due:
            ((chosen,),) = yield do("due_pick", now)
            yield do("scheduled_delete", chosen)
            yield from make_ready(msgspec.json.decode(chosen))
        if late:
            ((chosen,),) = yield do("late_pick", now)
            ended += yield from _end_late(msgspec.json.decode(chosen), now)
        if not due and not late:
            break
    return ended


def _end_late(seqs: Sequence[int], now: float) -> Plan[int]:
    failure = Failure(cause=Cause.EXPIRED, message="it was not started before it expired")
    yield from end_all(seqs, State.DEAD, failure, now)
    return len(seqs)


def _pick_fairly(queues: Sequence[int], limit: int) -> Plan[list[int]]:
    """Take jobs out of queues in two rounds: a fair share of each, then what others left over."""
    picked: list[int] = []
    left = _CLAIM_BYTES
    for share in (max(1, limit // len(queues)), limit):
        for queue in queues:
            room = min(share, limit - len(picked))
            if room > 0 and left > 0:
                seqs, size = yield from _pick(queue, room, left)
                picked += seqs
                left -= size
    return picked


def _take(
    claim: Claim, picked: Sequence[int], now: float, monotonic: float
) -> Plan[tuple[Lease, ...]]:
    ((token,),) = yield do("claim_token")
    chosen = document(picked)
    yield do("claim_take", chosen, token, claim.name, monotonic + claim.seconds)
    leases = yield from _read(claim, chosen, token, now)
    special = [lease for lease in leases if lease.message.lease is not None]
    if special:
        yield from extend(Extend(tuple(special), claim.seconds), monotonic)
    return leases


def _pick(queue: int, limit: int, most: int) -> Plan[tuple[list[int], int]]:
    """Take the first jobs of a queue out of it; return them, and the bytes of their envelopes."""
    ((chosen, rank, size),) = yield do("claim_pick", queue, limit)
    seqs: list[int] = msgspec.json.decode(chosen)
    if size > most and len(seqs) > 1:
        return (yield from _pick(queue, len(seqs) // 2, most))
    if seqs:  # they are neighbours, so one range is deleted
        yield do("claim_forget", queue, rank, seqs[-1])
    return seqs, size


def _read(claim: Claim, chosen: str, token: int, now: float) -> Plan[tuple[Lease, ...]]:
    # The statement spells a Lease out as JSON, so that one call decodes them all.
    ((text,),) = yield do("claim_read", chosen, f",{token},{document(claim.name)},")
    try:
        return _leases(text) if text else ()
    except msgspec.DecodeError:
        return (yield from _set_unreadable_aside(_raw_leases(text), now))


def _set_unreadable_aside(raw: Sequence[msgspec.Raw], now: float) -> Plan[tuple[Lease, ...]]:
    """End what this version cannot read as dead letters, so that nothing else waits behind them."""
    readable: list[Lease] = []
    for text in raw:
        try:
            readable += [_lease(text)]
        except msgspec.DecodeError as error:
            *_, seq = msgspec.json.decode(text)
            reason = f"the envelope cannot be read: {error}"
            failure = Failure(cause=Cause.UNREADABLE, message=reason)
            yield from end_all([seq], State.DEAD, failure, now)
    return tuple(readable)


def proof(leases: Sequence[Lease]) -> str:
    """Return the document that proves leases."""
    return document([(lease.place, lease.token, lease.claim) for lease in leases])


def extend(write: Extend, monotonic: float) -> Plan[Extended]:
    """Keep leases; tell which are lost and which jobs are to be cancelled."""
    leases = write.leases
    rows = yield do("stale", proof(leases))
    lost = frozenset(leases[index].job_id for (index,) in rows)
    seconds = write.seconds
    kept = [
        (lease.place, lease.token, lease.claim, lease.message.lease or seconds) for lease in leases
    ]
    yield do("extend", document(kept), monotonic)
    ((asked,),) = yield do("cancelling_any")
    if not asked:
        return Extended(lost=lost)
    ids = {lease.place: lease.job_id for lease in leases}
    rows = yield do("cancelling_among", document(list(ids)))
    return Extended(lost=lost, cancelled=frozenset(ids[seq] for seq, _ in rows) - lost)


def reclaim(write: Reclaim, now: float) -> Plan[Reclaimed]:
    """Take back the leases of a holder that is known to be dead."""
    rows = yield do("running_of_holder", write.holder, len(write.holder) + _NONCE_LENGTH)
    return (yield from lose(rows, write.failure, now, counted=write.counted))


def reap(now: float, monotonic: float) -> Plan[Reclaimed]:
    """Take back the leases that have expired."""
    rows = yield do("running_expired", monotonic)
    failure = Failure(cause=Cause.LEASE_LOST, message="the lease expired without a heartbeat")
    return (yield from lose(rows, failure, now))
