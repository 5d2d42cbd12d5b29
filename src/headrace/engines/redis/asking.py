"""How writes are put to the script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.cargo import MOVE_PREFIX, Keepsake, expiry
from headrace.errors import InvalidOption
from headrace.message import VERSION, Message
from headrace.record import Failure, Record, State
from headrace.write import (
    CancelJobs,
    Delete,
    Depart,
    EditJobs,
    Extend,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    Put,
    Reclaim,
    Restore,
    RetryJobs,
    Send,
    Settle,
    Settlement,
    Write,
)

Verb = tuple[Any, ...]
"""A write as the script reads it: a word and up to five arguments; `False` is what is not there."""

_FIRST_BLOB = 3  # after the header and the list of writes

# The facts of a message without options, but for its name, its place and its priority.
_PLAIN = (None, None, None, None, None, False, None, False, None, None, None, ())

# What of a message can be read: its version, and the fields that there are.
_READABLE = dict.fromkeys(Message.__struct_fields__, True) | {"v": VERSION}

pack = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode


def verbs_of(writes: Sequence[Write[Any]]) -> tuple[list[Verb], list[bytes]]:
    """Return writes as the script reads them, and the values that it finds beside them.

    Raises:
        InvalidOption: one of them makes no sense.
        TypeError: there is no such write.
    """
    blobs: list[bytes] = []
    return [_verb(write, blobs) for write in writes], blobs


def _verb(write: Write[Any], blobs: list[bytes]) -> Verb:  # noqa: PLR0911, PLR0912, C901 - one row a write
    match write:
        case Send():
            return ("send", facts_of(write.messages))
        case Settle():
            return ("settle", [_settled(s) for s in write.settlements], write.strict)
        case Extend():
            leases = [(lease.job_id, lease.token, lease.claim) for lease in write.leases]
            return ("extend", leases, write.seconds)
        case Reclaim():
            return ("reclaim", write.holder, write.failure, write.counted)
        case CancelJobs():
            return ("cancel", write.ids, write.reason)
        case RetryJobs():
            return ("retry", write.ids)
        case PurgeJobs():
            return ("purge", write.ids)
        case EditJobs():
            return ("edit", write.ids, _or_false(write.priority), _or_false(write.run_at))
        case PauseQueue():
            return ("pause", write.queue, write.paused)
        case LimitQueue():
            limits = write.limits
            depth, size = _or_false(limits.max_depth), _or_false(limits.max_bytes)
            return ("limit", write.queue, depth, size)
        case Put():
            place = _beside(write.value, blobs)
            after = _or_false(write.expires_after)
            return ("put", write.key, place, _or_false(write.expect), after)
        case Delete():
            return ("delete", write.key, _or_false(write.expect))
        case Depart():
            return ("depart", write.key, write.limit, write.nbytes, MOVE_PREFIX, _READABLE)
        case Restore():
            cargo = write.cargo
            entries = [_kept(entry, blobs) for entry in cargo.entries]
            return ("restore", cargo.token, [_restored(job) for job in cargo.jobs], entries)
    raise TypeError(f"{write!r:.200} is not a write this engine knows")


def _beside(value: bytes, blobs: list[bytes]) -> int:
    """Add a value to those beside the writes; return the number of the argument that it is."""
    blobs.append(value)
    return _FIRST_BLOB - 1 + len(blobs)


def _or_false(value: float | None) -> float | bool:
    return False if value is None else value


def facts_of(messages: Sequence[Message]) -> list[Verb]:
    """Return what the script needs to know of messages, and their envelopes.

    Raises:
        InvalidOption: one is of a version that is unknown here.
    """
    return [_facts(message) for message in messages]


def _facts(m: Message) -> Verb:
    if m.v != VERSION:
        text = f"message {m.id}: version {m.v} is unknown here; upgrade Headrace"
        raise InvalidOption(text)
    kept = m.retention
    facts = (m.id, m.task, m.queue, _json(m).decode(), m.priority, m.attempt)
    rest = (
        m.delay,
        m.run_at,
        m.expires_after,
        m.expires,
        m.unique_key,
        m.on_conflict == "replace",
        m.order_key,
        m.order_on_wait == "skip",
        m.lease,
        kept and kept.succeeded,
        kept and kept.dead,
        m.tags,
    )
    # Most jobs have nothing of this, and the script is spared to read it.
    return (
        facts
        if rest == _PLAIN
        else (*facts, *[False if value in (None, ()) else value for value in rest])
    )


def _settled(s: Settlement) -> Verb:
    if s.to is State.RUNNING:
        raise InvalidOption("a run cannot be settled as running: extend its lease instead")
    lease, failure = s.lease, s.failure
    result = False if s.result is None else bytes(s.result).decode()
    run = (lease.message.id, lease.token, lease.claim, s.to, s.counted, result)
    if s.seconds is not None:
        return (*run, s.delay, False, False, s.seconds)
    if failure is None:
        return (*run, s.delay) if s.delay else run
    return (*run, s.delay, failure.cause, _text(failure))


def _kept(entry: Keepsake, blobs: list[bytes]) -> Verb:
    return (entry.key, entry.version, _or_false(entry.expires), _beside(entry.value, blobs))


def _restored(record: Record) -> Verb:
    if record.state is State.RUNNING:
        raise InvalidOption(f"job {record.id} runs: it cannot be restored before it ends")
    ended, failure = record.state.terminal, record.failure
    past = [(a.number, _text(a.failure), a.counted, a.ended_at) for a in record.history]
    return (
        _facts(record.message),
        record.state,
        record.accepted_at,
        False if ended else _or_false(expiry(record)),
        _or_false(record.run_at),
        record.attempt,
        record.lost,
        _or_false(record.finished_at),
        _or_false(record.kept_until),
        failure.cause if ended and failure else False,
        False if record.result is None else bytes(record.result).decode(),
        _text(failure) if ended and failure else False,
        past,
        _or_false(record.seconds),
    )


def _text(failure: Failure) -> str:
    return _json(failure).decode()
