"""The steps of a job's life that several writes share: becoming ready, ending, losing a lease."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import msgspec

from headrace.engines.sqlite.plan import Plan, do, document
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


class Ending(msgspec.Struct, array_like=True, frozen=True):
    """How one job ends other than well.

    Attributes:
        seq: the job's place.
        state: cancelled or dead.
        attempt: attempts made.
        keep: seconds to keep it.
        failure: why.
    """

    seq: int
    state: State
    attempt: int
    keep: float
    failure: Failure


class HistoryEntry(msgspec.Struct, array_like=True, frozen=True):
    """A run that did not succeed."""

    seq: int
    number: int
    counted: bool
    failure: Failure


def keep_for(state: State, retention: Retention | None) -> float:
    """Return the seconds that a finished job is kept."""
    retention = retention or DEFAULT_RETENTION
    return retention.dead if state is State.DEAD else retention.succeeded


def make_ready(seqs: Sequence[int]) -> Plan[None]:
    """Let jobs that are in no table of waiting or running ones be claimed."""
    chosen = document(seqs)
    yield do("ready_insert", chosen)
    yield from elect((yield from groups_of(chosen)))


def groups_of(seqs: str) -> Plan[list[Group]]:
    """Return the order-key groups that some of these jobs belong to."""
    rows = yield do("groups_of", seqs)
    return [(queue, key) for queue, key in rows]


def elect(groups: Iterable[Group]) -> Plan[None]:
    """Give each group the front it should have: its oldest job that does not wait for a moment."""
    for group in groups:
        front = yield do("front", *group)
        old, runs = front[0] if front else (None, False)
        if runs:
            continue  # whoever ends it elects again
        candidate = yield do("front_candidate", *group)
        queue, rank, new = candidate[0] if candidate else (0, 0, None)
        if old is not None and old != new:
            yield do("ready_delete", document([old]))
        if new is None:
            yield do("front_delete", *group)
        else:
            yield do("ready_one", queue, rank, new)
            yield do("front_set", *group, new)


def end(endings: Sequence[Ending], now: float) -> Plan[None]:
    """End live jobs, whatever state they are in."""
    if not endings:
        return
    seqs = document([ending.seq for ending in endings])
    groups = yield from groups_of(seqs)
    yield do("finish_failed", document(endings), now)
    yield do("ready_delete", seqs)
    yield do("running_delete", seqs)
    yield do("scheduled_delete", seqs)
    yield from forget_live(seqs, now)
    yield from elect(groups)


def forget_live(seqs: str, now: float) -> Plan[None]:
    """Forget what only matters while jobs live, and take them off their queues' counts."""
    yield do("finish_count", seqs, now)
    yield from forget_marks(seqs)


def forget_marks(seqs: str) -> Plan[None]:
    """Forget what only matters while jobs live, but for their part in their queues' counts."""
    yield do("ordered_delete", seqs)
    yield do("unique_delete", seqs)
    yield do("expiry_delete", seqs)
    yield do("cancelling_delete", seqs)


def retentions(seqs: Sequence[int]) -> Plan[dict[int, Retention]]:
    """Return the retentions of those jobs that have one of their own which can be read."""
    rows = yield do("retention_of", document(seqs))
    own: dict[int, Retention] = {}
    for seq, text in rows:
        with contextlib.suppress(msgspec.DecodeError):  # of another version, say
            own[seq] = msgspec.json.decode(text, type=Retention)
    return own


def end_all(seqs: Sequence[int], state: State, failure: Failure, now: float) -> Plan[None]:
    """End live jobs for one and the same reason; their attempts are read from the tally."""
    if not seqs:
        return
    own = yield from retentions(seqs)
    rows = yield do("tallies", document(seqs))
    endings = [
        Ending(seq, state, attempts, keep_for(state, own.get(seq)), failure)
        for seq, attempts in rows
    ]
    yield from end(endings, now)


def remember(entries: Sequence[HistoryEntry], now: float) -> Plan[None]:
    """Add to the histories of jobs, one entry each, and keep their beginnings and their ends."""
    text = document(entries)
    yield do("history_insert", text, now)
    # One step more for each job: what falls out of the newest goes, unless it is of the oldest.
    yield do("history_bound", text, FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT)


def lose(
    rows: Iterable[tuple[int, str, str, int, int]],
    failure: Failure,
    now: float,
    *,
    counted: bool = True,
) -> Plan[Reclaimed]:
    """Take running jobs from holders that are gone: (seq, claim, id, attempts, lost) each."""
    ids: dict[int, str] = {}
    looped: list[HistoryEntry] = []
    returned: list[HistoryEntry] = []
    for seq, claim, job_id, attempts, lost in rows:
        evidence = msgspec.structs.replace(failure, holder=claim.rpartition(".")[0])
        entry = HistoryEntry(seq, attempts + 1, counted=False, failure=evidence)
        (looped if counted and lost + 1 >= LOST_LEASES_LIMIT else returned).append(entry)
        ids[seq] = job_id
    if not ids:
        return Reclaimed()
    yield from remember(looped + returned, now)
    if counted:
        yield do("tally_add", document([(seq, 0, 1) for seq in ids]))
    for entry in looped:
        crash_loop = msgspec.structs.replace(entry.failure, cause=Cause.CRASH_LOOP)
        yield from end_all([entry.seq], State.DEAD, crash_loop, now)
    ready = yield from give_back([entry.seq for entry in returned], now)
    return Reclaimed(tuple(ids[seq] for seq in ready), tuple(ids[e.seq] for e in looped))


def give_back(seqs: Sequence[int], now: float) -> Plan[list[int]]:
    """Make running jobs ready; those that somebody asked to cancel end instead."""
    chosen = document(seqs)
    asked = yield do("cancelling_among", chosen)
    yield do("running_delete", chosen)
    cancelled = {seq for seq, _ in asked}
    ready = [seq for seq in seqs if seq not in cancelled]
    if ready:
        yield from make_ready(ready)
    for seq, reason in asked:
        failure = Failure(cause=Cause.CANCELLED, message=reason)
        yield from end_all([seq], State.CANCELLED, failure, now)
    return ready
