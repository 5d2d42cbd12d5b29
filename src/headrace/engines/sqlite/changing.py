"""Changes that people and programs make to jobs and queues."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.engines.sqlite.leasing import wake_due
from headrace.engines.sqlite.life import (
    HistoryEntry,
    elect,
    end_all,
    groups_of,
    make_ready,
    remember,
)
from headrace.engines.sqlite.plan import Plan, do, document
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


class _Found:
    """The jobs that a change is about: place and state by id."""

    def __init__(self, rows: Sequence[tuple[int, str, str]]) -> None:
        self.states = {job_id: State(state) for _, job_id, state in rows}
        self.seqs = {job_id: seq for seq, job_id, _ in rows}

    def among(self, *states: State) -> list[str]:
        """Return the ids of the jobs in one of these states."""
        return [job_id for job_id, state in self.states.items() if state in states]

    def places(self, ids: Sequence[str]) -> list[int]:
        """Return where these jobs are."""
        return [self.seqs[job_id] for job_id in ids]

    def answer(self, changed: Sequence[str], to: State | None = None) -> Changed:
        """Return the answer, with the changed jobs in their new state."""
        states = self.states | (dict.fromkeys(changed, to) if to else {})
        return Changed(states=states, changed=frozenset(changed))


def _find(ids: Sequence[str], now: float) -> Plan[_Found]:
    yield from wake_due(now)  # so that a due job is where a ready one is
    rows = yield do("job_where", document(ids), now)
    return _Found([(seq, job_id, state) for seq, job_id, state in rows])


def cancel(write: CancelJobs, now: float) -> Plan[Changed]:
    """End waiting jobs; ask for the end of running ones."""
    found = yield from _find(write.ids, now)
    waiting = found.among(State.READY, State.SCHEDULED)
    failure = Failure(cause=Cause.CANCELLED, message=write.reason)
    yield from end_all(found.places(waiting), State.CANCELLED, failure, now)
    asked = yield do("cancelling_among", document(list(found.seqs.values())))
    already = {seq for seq, _ in asked}
    running = [i for i in found.among(State.RUNNING) if found.seqs[i] not in already]
    for seq in found.places(running):
        yield do("cancelling_insert", seq, write.reason)
    ended = found.answer(waiting, State.CANCELLED)
    return Changed(states=ended.states, changed=ended.changed | frozenset(running))


def retry(write: RetryJobs, now: float) -> Plan[Changed]:
    """Make scheduled jobs due now; redrive dead ones."""
    found = yield from _find(write.ids, now)
    scheduled = found.places(found.among(State.SCHEDULED))
    yield do("scheduled_delete", document(scheduled))
    dead = found.among(State.DEAD)
    for job_id in dead:
        yield from _redrive(job_id, found.seqs[job_id], now)
    yield from make_ready(scheduled + found.places(dead))
    return found.answer(found.among(State.SCHEDULED, State.DEAD), State.READY)


def _redrive(job_id: str, seq: int, now: float) -> Plan[None]:
    """Make a dead job live again, with its attempts starting anew."""
    ((unique_key, attempts),) = yield do("redrive_facts", seq)
    if unique_key is not None:
        rows = yield do("unique_holders", document([unique_key]))
        if rows:
            holder = rows[0][1]
            text = (
                f"job {job_id} cannot live again: job {holder} holds its unique key {unique_key!r}"
            )
            raise DuplicateJob(text, holder)
        yield do("unique_take", document([(job_id, unique_key)]))
    failure = Failure(cause=Cause.REDRIVEN, message="its attempts start anew")
    yield from remember([HistoryEntry(seq, attempts, counted=False, failure=failure)], now)
    chosen = document([seq])
    yield do("forget_tally", chosen)
    yield do("forget_finished", chosen)
    yield do("redrive_count", seq)
    yield do("redrive_ordered", seq)


def purge(write: PurgeJobs, now: float) -> Plan[Changed]:
    """Delete finished jobs; end waiting ones, which leaves their cause."""
    found = yield from _find(write.ids, now)
    waiting = found.among(State.READY, State.SCHEDULED)
    failure = Failure(cause=Cause.PURGED, message="purged before it was started")
    yield from end_all(found.places(waiting), State.CANCELLED, failure, now)
    finished = found.among(State.SUCCEEDED, State.CANCELLED, State.DEAD)
    yield from delete(document(found.places(finished)))
    states = {
        i: s for i, s in found.answer(waiting, State.CANCELLED).states.items() if i not in finished
    }
    return Changed(states=states, changed=frozenset(waiting + finished))


def delete(seqs: str) -> Plan[None]:
    """Forget finished jobs altogether."""
    yield do("forget_tags", seqs)
    yield do("forget_history", seqs)
    yield do("forget_tally", seqs)
    yield do("forget_finished", seqs)
    yield do("forget_job", seqs)


def edit(write: EditJobs, now: float) -> Plan[Changed]:
    """Give waiting jobs another priority or moment."""
    found = yield from _find(write.ids, now)
    waiting = found.among(State.READY, State.SCHEDULED)
    chosen = document(found.places(waiting))
    ready = found.places(found.among(State.READY))
    yield do("ready_delete", chosen)
    if write.priority is not None:
        yield do("edit_priority", chosen, write.priority)
    if write.run_at is not None:
        ready = yield from _move(found.places(waiting), write.run_at, now)
    # Of very many due jobs some may not have been woken yet: ready, but stored as waiting.
    yield do("scheduled_delete", document(ready))
    yield from make_ready(ready)
    yield from elect((yield from groups_of(chosen)))
    states = (yield from _find(write.ids, now)).states
    return Changed(states=states, changed=frozenset(waiting))


def _move(seqs: list[int], run_at: float, now: float) -> Plan[list[int]]:
    """Set another moment; return those that are ready by it."""
    chosen = document(seqs)
    yield do("edit_run_at", chosen, run_at)
    if run_at <= now:
        return seqs
    yield do("scheduled_delete", chosen)
    yield do("scheduled_insert", document([(seq, run_at) for seq in seqs]))
    return []


def pause(write: PauseQueue, now: float) -> Plan[None]:
    """Pause a queue, known or not yet, or let it go on."""
    yield do("queue_new", write.queue, now)
    yield do("queue_pause", write.queue, write.paused)


def limit(write: LimitQueue, now: float) -> Plan[None]:
    """Set when a queue, known or not yet, is full."""
    yield do("queue_new", write.queue, now)
    yield do("queue_limit", write.queue, write.limits.max_depth, write.limits.max_bytes)
