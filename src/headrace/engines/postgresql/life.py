"""The steps of a job's life that several writes share: becoming ready, ending, losing a lease."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headrace.engines.postgresql.plan import Plan, Rows, array, do, document
from headrace.message import Retention
from headrace.record import (
    FIRST_ATTEMPTS_KEPT,
    LAST_ATTEMPTS_KEPT,
    Cause,
    Failure,
    State,
)
from headrace.write import LOST_LEASES_LIMIT, Reclaimed

Group = tuple[int, str]

DEFAULT_RETENTION = Retention()

_encode = msgspec.json.Encoder().encode


class Ending(msgspec.Struct, frozen=True):
    """How one job ends other than well.

    Attributes:
        s: the job's place.
        state: cancelled or dead.
        a: attempts made.
        k: seconds to keep it.
        c: the cause.
        f: the failure, as JSON.
    """

    s: int
    state: State
    a: int
    k: float
    c: str
    f: str


class HistoryEntry(msgspec.Struct, frozen=True):
    """A run that did not succeed: place, attempt's number, whether it counts, failure as JSON."""

    s: int
    n: int
    c: bool
    f: str


def ending(place: int, state: State, attempts: int, keep: float, failure: Failure) -> Ending:
    """Return how a job ends."""
    return Ending(place, state, attempts, keep, failure.cause, as_text(failure))


def as_text(failure: Failure) -> str:
    """Return a failure as JSON."""
    return _encode(failure).decode()


def keep_for(state: State, retention: Retention | None) -> float:
    """Return the seconds that a finished job is kept."""
    retention = retention or DEFAULT_RETENTION
    return retention.dead if state is State.DEAD else retention.succeeded


# Groups of order keys -----------------------------------------------------------------------------


def lock_groups(groups: Iterable[Group]) -> Plan[list[Group]]:
    """Lock groups, so that nobody else changes who is at their front; return each of them once."""
    wanted = sorted(set(groups))
    if wanted:
        yield do("groups_lock", _groups(wanted))
    return wanted


def try_groups(members: Rows) -> Plan[tuple[list[int], list[Group]]]:
    """Lock the groups of jobs, but for those that somebody else has locked.

    Housekeeping waits for nobody, and so takes part in no deadlock.

    Args:
        members: seq, queue and order key of each, the latter two None for a job without a group.

    Returns:
        The jobs that can be dealt with now, and the groups.
    """
    wanted = sorted({(queue, key) for _, queue, key in members if key is not None})
    rows = (yield do("groups_try", _groups(wanted))) if wanted else []
    groups = [(queue, key) for queue, key in rows]
    free = {*groups, (None, None)}
    return sorted(seq for seq, queue, key in members if (queue, key) in free), groups


def lock_groups_of(seqs: Sequence[int]) -> Plan[list[Group]]:
    """Lock the groups that some of these jobs belong to."""
    if not seqs:
        return []
    rows = yield do("groups_of", array(seqs))
    return (yield from lock_groups((queue, key) for queue, key in rows))


def elect(groups: Sequence[Group]) -> Plan[None]:
    """Give each locked group the front it should have: its oldest job that is not to wait."""
    if not groups:
        return
    rows = yield do("group_turns", _groups(groups))
    displaced = [old for _, _, old, new, *_ in rows if old is not None and old != new]
    freed: set[int] = set()
    if displaced:
        # One that a worker has claimed meanwhile stays: whoever ends it elects again.
        taken = yield do("ready_take", array(sorted(displaced)))
        freed = {seq for (seq,) in taken}
    turns, over = [], []
    for queue, key, old, new, place, rank, members in rows:
        if old is not None and (old == new or old not in freed):
            continue
        if new is not None or members:
            turns.append({"q": queue, "k": key, "s": new, "p": place, "r": rank})
        else:
            over.append((queue, key))
    if turns:
        yield do("group_set", document(turns))
    if over:
        yield do("group_forget", _groups(over))


def _groups(groups: Iterable[Group]) -> str:
    return document([{"q": queue, "k": key} for queue, key in groups])


# Waiting ------------------------------------------------------------------------------------------


def make_ready(seqs: Sequence[int]) -> Plan[None]:
    """Let jobs that are in no table of waiting or running ones be claimed.

    Those with an order key get their turn when their groups, which are locked, elect.
    """
    if seqs:
        yield do("ready_insert", array(sorted(seqs)))


def take_waiting(seqs: Sequence[int]) -> Plan[dict[int, float | None]]:
    """Take jobs, whose groups are locked, from where they wait.

    Returns:
        Those that still waited, with the moment that they waited for, if it was one.
    """
    if not seqs:
        return {}
    chosen = array(sorted(seqs))
    rows = yield do("ready_take", chosen)
    taken: dict[int, float | None] = {seq: None for (seq,) in rows}
    rows = yield do("scheduled_take", chosen)
    taken |= dict(rows)
    rows = yield do("behind", chosen)
    taken |= {seq: None for (seq,) in rows if seq not in taken}
    if taken:
        yield do("group_vacate", array(sorted(taken)))
    return {seq: taken[seq] for seq in seqs if seq in taken}


# Ending -------------------------------------------------------------------------------------------


def end(endings: Sequence[Ending], now: float) -> Plan[None]:
    """End jobs that were taken from where they waited or ran; their groups elect afterwards."""
    if not endings:
        return
    yield do("finish_failed", document(endings), now)
    yield from forget_live([one.s for one in endings])


def forget_live(seqs: Sequence[int], *, counted: bool = False) -> Plan[None]:
    """Forget what only matters while jobs live, and take them off their queues' counts."""
    chosen = array(sorted(seqs))
    if not counted:
        yield do("finish_count", chosen)
    yield do("group_vacate", chosen)
    yield do("forget_live", chosen)


def end_all(seqs: Sequence[int], state: State, failure: Failure, now: float) -> Plan[None]:
    """End jobs, taken before, for one reason; their attempts are read from the tally."""
    if not seqs:
        return
    chosen = array(sorted(seqs))
    rows = yield do("retention_of", chosen)
    own = {seq: msgspec.json.decode(text, type=Retention) for seq, text in rows}
    rows = yield do("tallies", chosen)
    endings = [
        ending(seq, state, attempts, keep_for(state, own.get(seq)), failure)
        for seq, attempts in rows
    ]
    yield from end(endings, now)


def end_waiting(seqs: Sequence[int], state: State, failure: Failure, now: float) -> Plan[list[int]]:
    """End waiting jobs for one reason; return those that still waited."""
    groups = yield from lock_groups_of(seqs)
    taken = list((yield from take_waiting(seqs)))
    yield from end_all(taken, state, failure, now)
    yield from elect(groups)
    return taken


def remember(entries: Sequence[HistoryEntry], now: float) -> Plan[None]:
    """Add to the histories of jobs, one entry each, and keep their beginnings and their ends."""
    yield do("history_insert", document(entries), now)
    # One step more for each job: what falls out of the newest goes, unless it is of the oldest.
    chosen = array(sorted(entry.s for entry in entries))
    yield do("history_bound", chosen, FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT)


def lose(
    rows: Iterable[tuple[int, str, str, int, int]],
    failure: Failure,
    now: float,
    *,
    counted: bool = True,
) -> Plan[Reclaimed]:
    """Take running jobs, locked with their groups, from holders that are gone.

    Args:
        rows: seq, claim, id, attempts and lost leases of each.
        failure: the evidence.
        now: the time.
        counted: whether each job counts a lost lease.
    """
    ids: dict[int, str] = {}
    evidences: dict[int, Failure] = {}
    looped: list[HistoryEntry] = []
    returned: list[HistoryEntry] = []
    for seq, claim, job_id, attempts, lost in rows:
        evidence = msgspec.structs.replace(failure, holder=claim.rpartition(".")[0])
        entry = HistoryEntry(seq, attempts + 1, c=False, f=as_text(evidence))
        (looped if counted and lost + 1 >= LOST_LEASES_LIMIT else returned).append(entry)
        ids[seq], evidences[seq] = job_id, evidence
    if not ids:
        return Reclaimed()
    yield from remember(looped + returned, now)
    if counted:
        yield do("tally_add", document([{"s": seq, "a": 0, "l": 1} for seq in sorted(ids)]))
    yield do("running_delete", array(sorted(entry.s for entry in looped)))
    for entry in looped:
        crash_loop = msgspec.structs.replace(evidences[entry.s], cause=Cause.CRASH_LOOP)
        yield from end_all([entry.s], State.DEAD, crash_loop, now)
    ready = yield from give_back([entry.s for entry in returned], now)
    return Reclaimed(tuple(ids[seq] for seq in ready), tuple(ids[e.s] for e in looped))


def give_back(seqs: Sequence[int], now: float) -> Plan[list[int]]:
    """Make running jobs, locked with their groups, ready; end those that are to be cancelled."""
    if not seqs:
        return []
    chosen = array(sorted(seqs))
    asked = yield do("cancelling_among", chosen)
    yield do("running_delete", chosen)
    yield do("group_vacate", chosen)
    cancelled = {seq for seq, _ in asked}
    ready = [seq for seq in seqs if seq not in cancelled]
    yield from make_ready(ready)
    for seq, reason in asked:
        failure = Failure(cause=Cause.CANCELLED, message=reason_of(reason))
        yield from end_all([seq], State.CANCELLED, failure, now)
    return ready


def reason_of(text: str) -> str:
    """Return why a job is to be cancelled, from what is stored."""
    return msgspec.json.decode(text, type=str)
