"""Changes that people and programs make to jobs and queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from headrace.engines.postgresql.life import (
    Group,
    HistoryEntry,
    as_text,
    elect,
    end_waiting,
    lock_groups,
    lock_groups_of,
    make_ready,
    remember,
    take_waiting,
)
from headrace.engines.postgresql.plan import Moment, Plan, array, do, document, texts
from headrace.engines.postgresql.reading import known_ids
from headrace.errors import DuplicateJob
from headrace.record import Cause, Failure, State
from headrace.write import (
    CancelJobs,
    Changed,
    EditJobs,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    RetryJobs,
)

_ATTEMPTS = 10
_WAITING = (State.READY, State.SCHEDULED)
_ENDED = (State.SUCCEEDED, State.CANCELLED, State.DEAD)

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Found:
    """The jobs that a change is about: place and state by id."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.states: dict[str, State] = {job_id: State(state) for _, job_id, state in rows}
        self.seqs: dict[str, int] = {job_id: seq for seq, job_id, _ in rows}

    def among(self, *states: State) -> list[int]:
        """Return the places of the jobs in one of these states."""
        return [self.seqs[job_id] for job_id, state in self.states.items() if state in states]

    def named(self, seqs: Sequence[int]) -> frozenset[str]:
        """Return the ids of the jobs at these places."""
        chosen = set(seqs)
        return frozenset(job_id for job_id, seq in self.seqs.items() if seq in chosen)


def _find(ids: Sequence[str], now: float) -> Plan[_Found]:
    rows = yield do("job_states", known_ids(ids), now)
    return _Found(rows)


def cancel(write: CancelJobs, moment: Moment) -> Plan[Changed]:
    """End waiting jobs; ask for the end of running ones."""
    now = moment.now
    found = yield from _find(write.ids, now)
    failure = Failure(cause=Cause.CANCELLED, message=write.reason)
    changed: frozenset[str] = frozenset()
    # What was claimed, released or ended between two statements is looked at again.
    for _ in range(_ATTEMPTS):
        waiting = found.among(*_WAITING)
        ended = yield from end_waiting(waiting, State.CANCELLED, failure, now)
        running = found.among(State.RUNNING)
        kept, asked = yield from _ask(running, write.reason)
        changed |= found.named([*ended, *asked])
        if len(ended) == len(waiting) and len(kept) == len(running):
            break
        found = yield from _find(write.ids, now)
    found = (yield from _find(write.ids, now)) if changed else found
    return Changed(states=found.states, changed=changed)


def _ask(seqs: Sequence[int], reason: str) -> Plan[tuple[list[int], list[int]]]:
    """Ask for the end of running jobs; return those that still ran, and those newly asked."""
    if not seqs:
        return [], []
    # Whoever settles one of them waits, and then sees what was asked.
    rows = yield do("running_lock", array(sorted(seqs)))
    kept = [seq for (seq,) in rows]
    rows = yield do("cancelling_insert", array(kept), _encode(reason).decode())
    return kept, [seq for (seq,) in rows]


def retry(write: RetryJobs, moment: Moment) -> Plan[Changed]:
    """Make scheduled jobs due now; redrive dead ones."""
    now = moment.now
    found = yield from _find(write.ids, now)
    scheduled, dead = found.among(State.SCHEDULED), found.among(State.DEAD)
    past = yield from _past(dead)
    keys = yield from _take_keys(past)
    groups = yield from _lock_groups([*scheduled, *dead], past)
    rows = yield do("scheduled_take", array(sorted(scheduled)))
    woken = [seq for seq, _ in rows]
    redriven = yield from _redrive(past, now)
    # A rival made one live, and it has ended since: the key is nobody's.
    spare = [job.unique_key for job in past if job.unique_key in keys and job.seq not in redriven]
    if spare:
        yield do("unique_free", document(spare))
    yield from make_ready(woken + redriven)
    yield from elect(groups)
    changed = found.named(woken + redriven)
    return Changed(states=found.states | dict.fromkeys(changed, State.READY), changed=changed)


class _Past(NamedTuple):
    """What a dead job needs to live again."""

    seq: int
    queue: int
    id: str
    unique_key: str | None
    order_key: str | None
    skip: bool


class _Envelope(msgspec.Struct):
    """What of an envelope matters for it; the rest may be of a newer version."""

    id: str
    unique_key: str | None = None
    order_key: str | None = None
    order_on_wait: str = "hold"


_envelope = msgspec.json.Decoder(_Envelope).decode


def _past(seqs: Sequence[int]) -> Plan[list[_Past]]:
    rows = (yield do("envelopes", array(sorted(seqs)))) if seqs else []
    past = []
    for seq, queue, text in rows:
        sent = _envelope(text)
        skip = sent.order_on_wait == "skip"
        past.append(_Past(seq, queue, sent.id, sent.unique_key, sent.order_key, skip))
    return past


def _take_keys(past: Sequence[_Past]) -> Plan[set[str]]:
    """Take the unique keys of jobs that are to live again, or refuse it; return those taken."""
    keyed = [job for job in past if job.unique_key is not None]
    if not keyed:
        return set()
    wanted = [{"k": job.unique_key, "i": job.id} for job in keyed]
    rows = yield do("unique_take", document(wanted))
    taken = {key for (key,) in rows}
    if len(taken) == len(keyed):
        return taken
    rows = yield do("unique_holders", document([job.unique_key for job in keyed]))
    holders = {key: job_id for key, job_id, *_ in rows}
    for job in keyed:
        holder = holders.get(job.unique_key, job.id)
        if holder != job.id:
            raise DuplicateJob(
                f"job {job.id} cannot live again: job {holder} holds its unique key"
                f" {job.unique_key!r}",
                holder,
            )
    return taken


def _lock_groups(seqs: Sequence[int], past: Sequence[_Past]) -> Plan[list[Group]]:
    rows = (yield do("groups_of", array(sorted(seqs)))) if seqs else []
    groups = [(queue, key) for queue, key in rows]
    groups += [(job.queue, job.order_key) for job in past if job.order_key is not None]
    return (yield from lock_groups(groups))


def _redrive(past: Sequence[_Past], now: float) -> Plan[list[int]]:
    """Make dead jobs live again, with their attempts starting anew."""
    if not past:
        return []
    chosen = array(sorted(job.seq for job in past))
    rows = yield do("finished_take", chosen, texts([State.DEAD]))
    attempts: dict[int, int] = dict(rows)
    taken = [job for job in past if job.seq in attempts]
    if not taken:
        return []
    failure = as_text(Failure(cause=Cause.REDRIVEN, message="its attempts start anew"))
    entries = [HistoryEntry(job.seq, attempts[job.seq], c=False, f=failure) for job in taken]
    yield from remember(entries, now)
    chosen = array(attempts)
    yield do("tally_forget", chosen)
    yield do("redrive_count", chosen)
    ordered = [
        {"s": job.seq, "q": job.queue, "k": job.order_key, "w": job.skip}
        for job in taken
        if job.order_key is not None
    ]
    if ordered:
        yield do("redrive_ordered", document(ordered))
    return [job.seq for job in taken]


def purge(write: PurgeJobs, moment: Moment) -> Plan[Changed]:
    """Delete finished jobs; end waiting ones, which leaves their cause."""
    now = moment.now
    found = yield from _find(write.ids, now)
    finished = found.among(*_ENDED)
    failure = Failure(cause=Cause.PURGED, message="purged before it was started")
    ended = yield from end_waiting(found.among(*_WAITING), State.CANCELLED, failure, now)
    deleted: list[int] = []
    if finished:
        rows = yield do("finished_take", array(sorted(finished)), texts(_ENDED))
        deleted = [seq for seq, _ in rows]
        yield do("forget_jobs", array(deleted))
    changed = found.named(ended + deleted)
    after = yield from _find(write.ids, now)
    return Changed(states=after.states, changed=changed)


def edit(write: EditJobs, moment: Moment) -> Plan[Changed]:
    """Give waiting jobs another priority or moment."""
    now = moment.now
    found = yield from _find(write.ids, now)
    waiting = found.among(*_WAITING)
    groups = yield from lock_groups_of(waiting)
    taken = yield from take_waiting(waiting)
    if taken:
        yield from _rewrite(list(taken), write)
        yield from _put_back(taken, write.run_at, now)
    yield from elect(groups)
    after = yield from _find(write.ids, now)
    return Changed(states=after.states, changed=found.named(list(taken)))


def _rewrite(seqs: Sequence[int], write: EditJobs) -> Plan[None]:
    rows = yield do("envelopes", array(sorted(seqs)))
    changed = [{"s": seq, "e": _rewritten(text, write)} for seq, _, text in rows]
    yield do("edit", document(changed), write.priority)


def _rewritten(text: str, write: EditJobs) -> str:
    """Return an envelope with another priority or moment; the rest stays as it was sent."""
    fields = _fields(text)
    if write.priority is not None:
        fields["priority"] = msgspec.Raw(_encode(write.priority))
    if write.run_at is not None:
        fields.pop("delay", None)
        fields["run_at"] = msgspec.Raw(_encode(write.run_at))
    return _encode(fields).decode()


def _put_back(taken: dict[int, float | None], run_at: float | None, now: float) -> Plan[None]:
    """Let jobs wait again: for the new moment, or for what they waited for."""
    moments = taken if run_at is None else dict.fromkeys(taken, run_at if run_at > now else None)
    later = [{"s": seq, "r": moment} for seq, moment in moments.items() if moment is not None]
    if later:
        yield do("scheduled_insert", document(later))
    yield from make_ready([seq for seq, moment in moments.items() if moment is None])


def pause(write: PauseQueue, moment: Moment) -> Plan[None]:
    """Pause a queue, known or not yet, or let it go on."""
    yield do("queue_new", write.queue, moment.now)
    yield do("queue_pause", write.queue, write.paused)


def limit(write: LimitQueue, moment: Moment) -> Plan[None]:
    """Set when a queue, known or not yet, is full."""
    yield do("queue_new", write.queue, moment.now)
    yield do("queue_limit", write.queue, write.limits.max_depth, write.limits.max_bytes)
