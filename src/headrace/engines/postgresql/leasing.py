"""How jobs are claimed, kept and lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from headrace.engines.postgresql.life import (
    elect,
    end_all,
    lock_groups,
    lock_groups_of,
    lose,
    make_ready,
    take_waiting,
    try_groups,
)
from headrace.engines.postgresql.marks import BOTTOM, Marks
from headrace.engines.postgresql.plan import Moment, Plan, Rows, array, do, document
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
_NONCE_LENGTH = 17  # a dot and 16 digits

_lease = msgspec.json.Decoder(Lease).decode
_leases = msgspec.json.Decoder(tuple[Lease, ...]).decode
_raw_leases = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Queue(NamedTuple):
    """A queue that has jobs to claim: its number, and its first job that waits."""

    id: int
    rank: int
    seq: int


class _Sight(NamedTuple):
    """What a look at queues showed."""

    filled: list[_Queue]
    suspects: list[int]
    due: bool
    late: bool
    token_base: int | None
    next_run_at: float | None


# Looking ------------------------------------------------------------------------------------------


def _look(queues: Sequence[str], now: float, marks: Marks) -> Plan[_Sight]:
    wanted = list(dict.fromkeys(queues))
    marks.begin()
    asked = [dict(zip("nrs", (name, *marks.of(name)), strict=True)) for name in wanted]
    rows = yield do("claim_look", document(asked), now)
    return _seen(wanted, rows, marks)


def _seen(wanted: Sequence[str], rows: Rows, marks: Marks) -> _Sight:
    place = {name: index for index, name in enumerate(wanted)}
    filled: list[_Queue] = []
    suspects: list[int] = []
    for name, queue, rank, seq, suspect, *_ in sorted(rows, key=lambda row: place[row[0]]):
        marks.see(name, BOTTOM if rank is None else (rank, seq))
        if rank is not None:
            filled.append(_Queue(queue, rank, seq))
        if suspect:
            suspects.append(queue)
    if not rows:
        return _Sight([], [], due=False, late=False, token_base=None, next_run_at=None)
    marks.end(max(row[-1] for row in rows))
    due, late, token_base, next_run_at, _ = rows[0][5:]
    return _Sight(filled, suspects, due, late, token_base, next_run_at)


def claimable_in(queues: Sequence[str], now: float, marks: Marks) -> Plan[float]:
    """Return the seconds until one of the queues may have a job to claim; 0 means now."""
    sight = yield from _look(queues, now, marks)
    if sight.filled or sight.suspects:
        return 0.0
    return float("inf") if sight.next_run_at is None else max(0.0, sight.next_run_at - now)


# Waking -------------------------------------------------------------------------------------------


def wake_due(now: float) -> Plan[int]:
    """Make due jobs ready and end those that are too late; return how many were too late.

    What somebody else is busy with is left for the next time.
    """
    ended = 0
    # In steps of a thousand, and not for ever: others want to write, too.
    for _ in range(_WAKE_STEPS):
        woken = yield from _wake((yield do("due_pick", now)), now)
        late = yield from _end_late((yield do("late_pick", now)), now)
        ended += late
        if not woken and not late:
            break
    return ended


def _wake(due: Rows, now: float) -> Plan[int]:
    if not due:
        return 0
    seqs, groups = yield from try_groups(due)
    rows = yield do("due_take", array(seqs), now)
    yield from make_ready([seq for (seq,) in rows])
    yield from elect(groups)
    return len(rows)


_LATE = Failure(cause=Cause.EXPIRED, message="it was not started before it expired")


def _end_late(late: Rows, now: float) -> Plan[int]:
    if not late:
        return 0
    seqs, groups = yield from try_groups(late)
    taken = list((yield from take_waiting(seqs)))
    yield from end_all(taken, State.DEAD, _LATE, now)
    yield from elect(groups)
    return len(taken)


# Claiming -----------------------------------------------------------------------------------------


def lease(claim: Claim, moment: Moment, marks: Marks) -> Plan[tuple[Lease, ...]]:
    """Claim jobs for a worker."""
    if claim.limit < 1:
        return ()
    now = moment.now
    sight = yield from _look(claim.queues, now, marks)
    late = False
    if sight.due or sight.late:
        yield from wake_due(now)
        sight = yield from _look(claim.queues, now, marks)
        late = sight.late
    if not sight.filled and not sight.suspects:
        return ()
    if sight.token_base is None:
        yield from renew_tokens()
    if sight.suspects:
        alone = [_Queue(-sight.suspects[0], *BOTTOM)]
        leases = yield from _take(claim, alone, 1, moment, late=late)
        if leases:
            return leases  # else a rival has it, or it was too late
    leases = yield from _take_fairly(claim, sight.filled, moment, late=late)
    for one in leases:
        marks.pass_by(one.message.queue, (-one.message.priority, one.place))
    return leases


def _take_fairly(
    claim: Claim, queues: Sequence[_Queue], moment: Moment, *, late: bool
) -> Plan[tuple[Lease, ...]]:
    """Take a fair share of each queue, then what other queues left over."""
    if not queues:
        return ()
    share = max(1, claim.limit // len(queues))
    first = queues[: claim.limit]
    leases = yield from _take(claim, first, share, moment, late=late)
    if len(queues) > 1:
        for queue in queues:
            room = claim.limit - len(leases)
            if room > 0:
                leases += yield from _take(claim, [queue], room, moment, late=late)
    return leases


def _take(
    claim: Claim, queues: Sequence[_Queue], limit: int, moment: Moment, *, late: bool
) -> Plan[tuple[Lease, ...]]:
    wanted = [
        {"n": number, "q": queue.id, "r": queue.rank, "s": queue.seq, "l": limit}
        for number, queue in enumerate(queues)
    ]
    until = moment.steady + claim.seconds
    name = f",{document(claim.name)},"
    ((text,),) = yield do("claim_pick", document(wanted), claim.name, until, name)
    if not text:
        return ()
    leases = yield from _read(text, moment.now)
    if late:
        leases = yield from _without_late(leases, moment.now)
    special = tuple(lease for lease in leases if lease.message.lease is not None)
    if special:
        yield from extend(Extend(special, claim.seconds), moment)
    return leases


def _without_late(leases: tuple[Lease, ...], now: float) -> Plan[tuple[Lease, ...]]:
    """End, of very many late jobs, those that were claimed before anybody could end them."""
    rows = yield do("late_among", array(sorted(one.place for one in leases)), now)
    late = sorted(seq for (seq,) in rows)
    yield from _end_claimed(late, _LATE, now)
    return tuple(one for one in leases if one.place not in late)


def _end_claimed(seqs: Sequence[int], failure: Failure, now: float) -> Plan[None]:
    """End, as dead, jobs that this transaction has claimed."""
    if seqs:
        groups = yield from lock_groups_of(seqs)
        yield do("running_delete", array(seqs))
        yield from end_all(seqs, State.DEAD, failure, now)
        yield from elect(groups)


def _read(text: str, now: float) -> Plan[tuple[Lease, ...]]:
    try:
        return _leases(text)
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
            yield from _end_claimed([seq], Failure(cause=Cause.UNREADABLE, message=reason), now)
    return tuple(readable)


def renew_tokens() -> Plan[None]:
    """Raise what tokens are added to: the server was not shut down in order since the last one.

    A claim need not be on the disk before it is answered, so a crash may take it, and take back
    the sequence: no token may come from it again.
    """
    yield do("token_lock")
    seen = yield do("token_witness")
    if not seen:  # else a rival did it
        ((base,),) = yield do("token_renew")
        yield do("token_attest", base)


# Keeping and losing -------------------------------------------------------------------------------


def extend(write: Extend, moment: Moment) -> Plan[Extended]:
    """Keep leases; tell which are lost and which jobs are to be cancelled."""
    if not write.leases:
        return Extended()
    leases = sorted(write.leases, key=lambda lease: lease.place)
    given = [
        {"n": n, "s": x.place, "t": x.token, "c": x.claim, "l": x.message.lease or write.seconds}
        for n, x in enumerate(leases)
    ]
    rows = yield do("extend", document(given), moment.steady)
    lost = frozenset(leases[number].job_id for number, is_lost in rows if is_lost)
    asked = frozenset(leases[number].job_id for number, is_lost in rows if not is_lost)
    return Extended(lost=lost, cancelled=asked - lost)


def reclaim(write: Reclaim, moment: Moment) -> Plan[Reclaimed]:
    """Take back the leases of a holder that is known to be dead."""
    whose = (write.holder, len(write.holder) + _NONCE_LENGTH)
    seen = yield do("running_of_holder", *whose)
    groups = yield from lock_groups((queue, key) for _, queue, key in seen if key is not None)
    rows = yield do("running_held", array(sorted(seq for seq, *_ in seen)), *whose)
    answer = yield from lose(rows, write.failure, moment.now, counted=write.counted)
    yield from elect(groups)
    return answer


def reap(moment: Moment) -> Plan[Reclaimed]:
    """Take back the leases that have expired."""
    seen = yield do("running_expired", moment.steady)
    if not seen:
        return Reclaimed()
    seqs, groups = yield from try_groups(seen)
    rows = yield do("running_lapsed", array(seqs), moment.steady)
    failure = Failure(cause=Cause.LEASE_LOST, message="the lease expired without a heartbeat")
    answer = yield from lose(rows, failure, moment.now)
    yield from elect(groups)
    return answer
