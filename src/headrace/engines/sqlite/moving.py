"""How jobs and entries leave for another engine, and arrive from one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.cargo import MOVE_PREFIX, Cargo, Keepsake, pack, timeless
from headrace.engines.sqlite import reading, storing
from headrace.engines.sqlite.changing import delete
from headrace.engines.sqlite.life import elect, forget_marks, groups_of, make_ready
from headrace.engines.sqlite.plan import Plan, Violated, do, document
from headrace.errors import DuplicateJob, InvalidOption
from headrace.message import VERSION
from headrace.record import Record, State
from headrace.write import Depart, Departed, Put, Restore

_AFTER_PREFIX = MOVE_PREFIX[:-1] + chr(ord(MOVE_PREFIX[-1]) + 1)


def depart(write: Depart, now: float) -> Plan[Departed]:
    """Put jobs, or else entries, into the store as cargo."""
    jobs = yield from _take_jobs(write, now)
    entries = () if jobs else (yield from _take_entries(write))
    if not jobs and not entries:
        return Departed()
    ((token,),) = yield do("token")
    cargo = Cargo(token=token, jobs=jobs, entries=entries)
    yield from storing.put(Put(write.key, pack(cargo), expect=0), now)
    return Departed(len(jobs), len(entries))


def _take_jobs(write: Depart, now: float) -> Plan[tuple[Record, ...]]:
    ((chosen,),) = yield do("depart_live", write.limit, write.nbytes)
    if chosen == "[]":
        ((chosen,),) = yield do("depart_finished", write.limit, write.nbytes)
    records = yield from reading.in_places(chosen, now)
    for record in records:
        if record.message.v != VERSION:
            text = f"job {record.id} cannot be read by this version: upgrade headrace, or purge it"
            raise InvalidOption(text)
    rows = yield do("depart_timeless", chosen)
    ageless = {job_id for (job_id,) in rows}
    groups = yield from groups_of(chosen)
    yield do("depart_count", chosen)
    yield do("ready_delete", chosen)
    yield do("scheduled_delete", chosen)
    yield from forget_marks(chosen)
    yield from delete(chosen)
    yield from elect(groups)
    records = [msgspec.structs.replace(record, reason="") for record in records]
    return tuple(timeless(record) if record.id in ageless else record for record in records)


def _take_entries(write: Depart) -> Plan[tuple[Keepsake, ...]]:
    rows = yield do("depart_entries", write.limit, write.nbytes, MOVE_PREFIX, _AFTER_PREFIX)
    for key, *_ in rows:
        yield do("entry_delete", key)
    return tuple(Keepsake(*row) for row in rows)


def restore(write: Restore, now: float) -> Plan[None]:
    """Take in cargo, all of it or nothing."""
    cargo = write.cargo
    yield do("token_raise", cargo.token)
    for entry in cargo.entries:
        yield do("entry_restore", entry.key, entry.value, entry.version, entry.expires, now)
    if cargo.jobs:
        yield from _restore_jobs(cargo.jobs, now)


def _restore_jobs(records: Sequence[Record], now: float) -> Plan[None]:
    _check(records)
    keys = [
        (record.id, record.message.unique_key)
        for record in records
        if record.message.unique_key is not None and not record.state.terminal
    ]
    yield from _check_keys([key for _, key in keys])
    moved = document(records)
    yield do("restore_queues", moved, now)
    try:
        yield do("restore_jobs", moved)
    except Violated:
        yield from _refuse_taken_id(records)
    ((last,),) = yield do("last_sent", len(records))
    yield do("send_tags", last)
    for name in ("restore_finished", "restore_tally", "restore_history", "restore_expiry"):
        yield do(name, moved, last)
    yield do("restore_scheduled", moved, last, now)
    yield do("restore_ordered", last)
    yield do("restore_count", last)
    yield do("unique_take", document(keys))
    waiting = yield do("restore_waiting", last)
    yield from make_ready([seq for (seq,) in waiting])


def _check(records: Sequence[Record]) -> None:
    for record in records:
        if record.message.v != VERSION:
            text = f"envelope version {record.message.v} is not known here: upgrade headrace"
            raise InvalidOption(text)
        if record.state is State.RUNNING:
            raise InvalidOption(f"job {record.id} runs: it cannot be restored before it ends")


def _check_keys(keys: Sequence[str]) -> Plan[None]:
    rows = yield do("unique_holders", document(keys))
    for key, holder, _ in rows:
        raise DuplicateJob(f"job {holder} holds the unique key {key!r} here", holder)


def _refuse_taken_id(records: Sequence[Record]) -> Plan[None]:
    ids = [record.id for record in records]
    older = yield do("ids_taken", document(ids))
    taken = older[0][0] if older else ids[0]
    raise DuplicateJob(f"a job with the id {taken} is here already", taken)
