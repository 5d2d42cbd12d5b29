"""How jobs and entries leave for another engine, and arrive from one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.cargo import MOVE_PREFIX, Cargo, Keepsake, expiry, pack, timeless
from headrace.engines.postgresql import reading, storing
from headrace.engines.postgresql.leasing import renew_tokens
from headrace.engines.postgresql.life import (
    Group,
    as_text,
    elect,
    forget_live,
    lock_groups,
    lock_groups_of,
    make_ready,
)
from headrace.engines.postgresql.plan import Moment, NewQueues, Plan, array, do, document, texts
from headrace.engines.postgresql.sending import queue_row
from headrace.errors import DuplicateJob, EngineBusy, InvalidOption
from headrace.message import VERSION
from headrace.record import Record, State
from headrace.write import Depart, Departed, Put, Restore

_ATTEMPTS = 10
_AFTER_PREFIX = MOVE_PREFIX[:-1] + chr(ord(MOVE_PREFIX[-1]) + 1)

_encode = msgspec.json.Encoder().encode


# Leaving ------------------------------------------------------------------------------------------


def depart(write: Depart, moment: Moment) -> Plan[Departed]:
    """Put jobs, or else entries, into the store as cargo."""
    token = yield from _last_token()
    jobs = yield from _take_jobs(write, moment)
    entries = () if jobs else (yield from _take_entries(write))
    if not jobs and not entries:
        return Departed()
    cargo = Cargo(token=token, jobs=jobs, entries=entries)
    yield from storing.put(Put(write.key, pack(cargo), expect=0), moment)
    return Departed(len(jobs), len(entries))


def _last_token() -> Plan[int]:
    """Return a token as high as any that was handed out, also before a crash."""
    if not (yield do("token_witness")):
        yield from renew_tokens()
    ((token,),) = yield do("token_last")
    return int(token)


def _take_jobs(write: Depart, moment: Moment) -> Plan[tuple[Record, ...]]:
    for _ in range(_ATTEMPTS):
        rows = yield do("depart_live", write.limit, write.nbytes)
        if not rows:
            return (yield from _take_finished(write, moment))
        records = yield from _take_live([seq for (seq,) in rows], moment)
        if records:
            return records
        # Rivals had claimed, ended or edited all of them: there may be others.
    raise EngineBusy("the jobs that are to depart change all the time: nothing was written")


def _take_live(seqs: Sequence[int], moment: Moment) -> Plan[tuple[Record, ...]]:
    groups = yield from lock_groups_of(seqs)
    places = yield from _lock(seqs)
    if not places:
        return ()
    chosen = array(places)
    records = yield from _read(places, moment)
    rows = yield do("expiring", chosen)
    expiring = {seq for (seq,) in rows}
    yield do("depart_count", chosen)
    yield do("ready_take", chosen)
    yield do("scheduled_take", chosen)
    yield from forget_live(places, counted=True)
    yield do("forget_jobs", chosen)
    yield from elect(groups)
    return tuple(
        record if seq in expiring or expiry(record) is None else timeless(record)
        for seq, record in zip(places, records, strict=True)
    )


def _lock(seqs: Sequence[int]) -> Plan[list[int]]:
    """Lock jobs, behind their groups; return those that wait and of whose order key none runs."""
    chosen = array(seqs)
    held: set[int] = set()
    for name in ("depart_lock_ready", "depart_lock_scheduled", "behind"):
        rows = yield do(name, chosen)
        held.update(seq for (seq,) in rows)
    # Only now: the claim of a front was awaited.
    rows = yield do("depart_free", array(sorted(held.intersection(seqs))))
    return [seq for (seq,) in rows]


def _take_finished(write: Depart, moment: Moment) -> Plan[tuple[Record, ...]]:
    rows = yield do("depart_finished", write.limit, write.nbytes)
    places = [seq for (seq,) in rows]
    if not places:
        return ()
    records = yield from _read(places, moment)
    ended = texts(state for state in State if state.terminal)
    yield do("finished_take", array(places), ended)
    yield do("forget_jobs", array(places))
    return tuple(records)


def _read(places: Sequence[int], moment: Moment) -> Plan[list[Record]]:
    records = yield from reading.in_places(places, moment)
    for record in records:
        if record.message.v != VERSION:
            text = f"job {record.id} cannot be read by this version: upgrade headrace, or purge it"
            raise InvalidOption(text)
    return [msgspec.structs.replace(record, reason="") for record in records]


def _take_entries(write: Depart) -> Plan[tuple[Keepsake, ...]]:
    rows = yield do("depart_entries", write.limit, write.nbytes, MOVE_PREFIX, _AFTER_PREFIX)
    for key, *_ in rows:
        yield do("entry_delete", key)
    return tuple(Keepsake(*row) for row in rows)


# Arriving -----------------------------------------------------------------------------------------


class _Arrival(msgspec.Struct, omit_defaults=True):
    """A job as it is inserted."""

    n: int
    i: str
    q: int
    p: int
    t: str
    m: float
    l: bool  # noqa: E741 - read by restore_jobs.sql
    e: str
    k: str | None = None
    g: tuple[str, ...] | None = None


class _Rest(msgspec.Struct, omit_defaults=True):
    """What is known of it beside its envelope."""

    s: int
    st: str
    a: int = 0
    lost: int = 0
    r: float | None = None
    x: float | None = None
    o: str | None = None
    w: bool = False
    f: float | None = None
    k: float | None = None
    c: str | None = None
    why: str | None = None
    v: str | None = None
    d: float | None = None


def restore(write: Restore, moment: Moment) -> Plan[None]:
    """Take in cargo, all of it or nothing."""
    cargo = write.cargo
    _check(cargo.jobs)
    yield from _raise_tokens(cargo.token)
    for entry in sorted(cargo.entries, key=lambda entry: entry.key):
        kept = (entry.key, entry.value, entry.version, entry.expires)
        yield do("entry_restore", *kept, moment.now)
    if cargo.jobs:
        yield from _restore_jobs(cargo.jobs, moment.now)


def _check(records: Sequence[Record]) -> None:
    for record in records:
        if record.message.v != VERSION:
            text = f"envelope version {record.message.v} is not known here: upgrade headrace"
            raise InvalidOption(text)
        if record.state is State.RUNNING:
            raise InvalidOption(f"job {record.id} runs: it cannot be restored before it ends")
        if not reading.is_id(record.id):
            raise InvalidOption(f"job id {record.id!r:.80}: use a UUID in lower case")


def _raise_tokens(token: int) -> Plan[None]:
    ((last,),) = yield do("token_last")
    if last < token:
        yield do("token_lock")  # one at a time, or the lower of two might come last
        yield do("token_raise", token)


def _restore_jobs(records: Sequence[Record], now: float) -> Plan[None]:
    live = [record for record in records if not record.state.terminal]
    queues: dict[str, int] = {}
    names = sorted({record.message.queue for record in records})
    try:
        for name in names:
            queue = yield from queue_row(name)
            queues[name] = queue.id
    except NewQueues:
        raise NewQueues(names) from None
    yield from _take_keys(live)
    groups = yield from lock_groups(_groups(live, queues))
    places = yield from _insert(records, queues)
    yield do("restore_rest", document([_rest(r, places[r.id]) for r in records]), now)
    past = [step for record in records for step in _history(record, places[record.id])]
    if past:
        yield do("restore_history", document(past))
    waiting = [places[r.id] for r in live if r.run_at is None or r.run_at <= now]
    yield from make_ready(waiting)
    yield from elect(groups)


def _take_keys(live: Sequence[Record]) -> Plan[None]:
    """Take the unique keys of jobs that live, or refuse all of them."""
    missing = {r.message.unique_key: r.id for r in live if r.message.unique_key is not None}
    for _ in range(_ATTEMPTS):
        if not missing:
            return
        # A rival's open transaction is awaited here, by the index itself.
        rows = yield do("unique_take", document([{"k": k, "i": i} for k, i in missing.items()]))
        for (key,) in rows:
            del missing[key]
        rows = (yield do("unique_holders", document(list(missing)))) if missing else []
        for key, holder, *_ in rows:
            raise DuplicateJob(f"job {holder} holds the unique key {key!r} here", holder)
        yield from _refuse_taken_id(list(missing.values()))
    raise EngineBusy("a unique key changes hands all the time: nothing was written; try again")


def _groups(live: Sequence[Record], queues: dict[str, int]) -> list[Group]:
    messages = [record.message for record in live]
    return [(queues[m.queue], m.order_key) for m in messages if m.order_key is not None]


def _insert(records: Sequence[Record], queues: dict[str, int]) -> Plan[dict[str, int]]:
    """Insert jobs; return their places, by id."""
    arrivals = [_arrival(n, r, queues[r.message.queue]) for n, r in enumerate(records)]
    rows = yield do("restore_jobs", document(arrivals))
    places: dict[str, int] = {job_id: seq for seq, job_id in rows}
    left_out = [record.id for record in records if record.id not in places]
    if left_out or len(places) < len(records):
        taken = left_out[0] if left_out else _repeated(records)
        raise DuplicateJob(f"a job with the id {taken} is here already", taken)
    return places


def _repeated(records: Sequence[Record]) -> str:
    ids = [record.id for record in records]
    return next(job_id for job_id in ids if ids.count(job_id) > 1)


def _refuse_taken_id(ids: Sequence[str]) -> Plan[None]:
    rows = (yield do("ids_taken", texts(ids), 1 << 62)) if ids else []
    for (taken,) in rows:
        raise DuplicateJob(f"a job with the id {taken} is here already", taken)


def _arrival(number: int, record: Record, queue: int) -> _Arrival:
    message = record.message
    return _Arrival(
        n=number,
        i=message.id,
        q=queue,
        p=message.priority,
        t=message.task,
        m=record.accepted_at,
        l=not record.state.terminal,
        e=_encode(message).decode(),
        k=None if message.retention is None else _encode(message.retention).decode(),
        g=message.tags or None,
    )


def _rest(record: Record, place: int) -> _Rest:
    rest = _Rest(s=place, st=record.state, a=record.attempt, lost=record.lost)
    if not record.state.terminal:
        message = record.message
        rest.r, rest.x = record.run_at, expiry(record)
        rest.o, rest.w = message.order_key, message.order_on_wait == "skip"
        return rest
    rest.f, rest.k = record.finished_at, record.kept_until
    rest.v = None if record.result is None else bytes(record.result).decode()
    rest.d = record.seconds
    if record.failure is not None:
        rest.c, rest.why = record.failure.cause, as_text(record.failure)
    return rest


def _history(record: Record, place: int) -> list[dict[str, object]]:
    return [
        {
            "s": place,
            "step": step,
            "n": past.number,
            "at": past.ended_at,
            "c": past.counted,
            "f": as_text(past.failure),
        }
        for step, past in enumerate(record.history, 1)
    ]
