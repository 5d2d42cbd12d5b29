"""How writes are put to the script, and what its answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.engine import Topic
from headrace.errors import (
    Conflict,
    DuplicateJob,
    EngineError,
    HeadraceError,
    InvalidOption,
    LeaseLost,
    QueueFull,
)
from headrace.message import VERSION, Message
from headrace.record import State
from headrace.write import (
    CancelJobs,
    Changed,
    Delete,
    EditJobs,
    Extend,
    Extended,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    Put,
    Reclaim,
    Reclaimed,
    RetryJobs,
    Send,
    Sent,
    Settle,
    Settled,
    Settlement,
    Stored,
    Write,
)

Verb = tuple[Any, ...]
"""A write as the script reads it: a word and at most five arguments, `False` for what is not there."""

_RETRY_AFTER_MIN = 0.1
_RETRY_AFTER_MAX = 60.0
_RETRY_AFTER_UNKNOWN = 1.0
_FIRST_BLOB = 3  # after the header and the list of writes

# The facts of a message without options, but for its name, its place and its priority.
_PLAIN = (None, None, None, None, None, False, None, False, None, None, None, ())

pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder().decode
_json = msgspec.json.Encoder().encode


def verbs_of(writes: Sequence[Write[Any]]) -> tuple[list[Verb], list[bytes]]:
    """Return writes as the script reads them, and the values that it finds beside them.

    Raises:
        InvalidOption: one of them makes no sense.
        TypeError: there is no such write.
    """
    blobs: list[bytes] = []
    return [_verb(write, blobs) for write in writes], blobs


def _verb(write: Write[Any], blobs: list[bytes]) -> Verb:  # noqa: PLR0911, C901 - one row a write
    match write:
        case Send():
            return ("send", facts_of(write.messages))
        case Settle():
            return ("settle", [_settled(s) for s in write.settlements], write.strict)
        case Extend():
            leases = [(lease.job_id, lease.token, lease.claim) for lease in write.leases]
            return ("extend", leases, write.seconds)
        case Reclaim():
            return ("reclaim", write.holder, write.failure)
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
            blobs.append(write.value)
            place = _FIRST_BLOB - 1 + len(blobs)
            after = _or_false(write.expires_after)
            return ("put", write.key, place, _or_false(write.expect), after)
        case Delete():
            return ("delete", write.key, _or_false(write.expect))
    raise TypeError(f"{write!r:.200} is not a write this engine knows")


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
    return facts if rest == _PLAIN else (*facts, *[False if value in (None, ()) else value for value in rest])


def _settled(s: Settlement) -> Verb:
    if s.to is State.RUNNING:
        raise InvalidOption("a run cannot be settled as running: extend its lease instead")
    lease, failure = s.lease, s.failure
    result = False if s.result is None else bytes(s.result).decode()
    run = (lease.message.id, lease.token, lease.claim, s.to, s.counted, result)
    if failure is None:
        return (*run, s.delay) if s.delay else run
    return (*run, s.delay, failure.cause, _json(failure).decode())


def answers_to(writes: Sequence[Write[Any]], told: bytes) -> tuple[Any, ...]:
    """Return what the script answered to writes.

    Raises:
        Refused: it refused one of them, and so did nothing.
    """
    done, answers = unpack(told)
    if not done:
        raise refusal(answers)
    return tuple([_answer(w, a) for w, a in zip(writes, answers, strict=True)])


def _answer(write: Write[Any], told: Any) -> Any:
    match write:
        case Send():
            return Sent(tuple(told))
        case Settle():
            return Settled(frozenset(told))
        case Extend():
            return Extended(frozenset(told[0]), frozenset(told[1]))
        case Reclaim():
            return Reclaimed(tuple(told[0]), tuple(told[1]))
        case CancelJobs() | RetryJobs() | PurgeJobs() | EditJobs():
            states = {job_id: State(state) for job_id, state in told[0]}
            return Changed(states, frozenset(told[1]))
        case Put() | Delete():
            return Stored(told)
    return None


def refusal(told: Sequence[Any]) -> HeadraceError:
    """Return why the script refused a write."""
    match told:
        case ["id-taken", job_id]:
            text = f"a job with the id {job_id} is there already: give each its own id"
            return DuplicateJob(text, job_id)
        case ["key-held", key, job_id, state]:
            text = f"job {job_id}, which is {state}, holds the unique key {key!r}"
            return DuplicateJob(text, job_id)
        case ["queue-full", queue, depth, size, excess, rate]:
            wait = excess / rate if rate else _RETRY_AFTER_UNKNOWN
            wait = min(max(wait, _RETRY_AFTER_MIN), _RETRY_AFTER_MAX)
            text = (
                f"queue {queue!r} is full: {depth} jobs, {size} bytes; try again in {wait:.1f} s,"
                " add workers, or raise its limit"
            )
            return QueueFull(text, queue, wait)
        case ["lease-lost", ids]:
            jobs = ", ".join(sorted(ids))
            return LeaseLost(f"the lease of job {jobs} is lost: nothing was written")
        case ["conflict", key, expected, version]:
            found = f"version {version}" if version else "nothing"
            return Conflict(f"{key!r}: expected version {expected}, found {found}; load it again")
    return EngineError(f"the script refused for a reason that is unknown here: {told!r:.200}")


def accepts(writes: Sequence[Write[Any]]) -> bool:
    """Return whether writes only take on new things, which a full server refuses."""
    return bool(writes) and all(isinstance(write, Send | Put) for write in writes)


def repeatable(writes: Sequence[Write[Any]]) -> bool:
    """Return whether doing writes twice does no harm, because a lease is good for one settlement."""
    return all(isinstance(write, Settle | Extend | Reclaim) for write in writes)


def topics_of(writes: Sequence[Write[Any]]) -> tuple[Topic, ...]:
    """Return what others may want to look at after writes."""
    return tuple(dict.fromkeys(topic for write in writes for topic in _topics(write)))


def _topics(write: Write[Any]) -> tuple[Topic, ...]:
    match write:
        case Send() | RetryJobs() | EditJobs() | PauseQueue():
            return ("ready",)
        case Settle() if all(
            s.to is State.SUCCEEDED and s.lease.message.order_key is None for s in write.settlements
        ):
            return ("finished",)
        case Settle() | Reclaim() | PurgeJobs():
            return ("finished", "ready")
        case CancelJobs():
            return ("finished", "ready", "cancel")
        case Put() | Delete():
            return ("stored",)
    return ()


def ids_of(writes: Sequence[Write[Any]]) -> list[str]:
    """Return the ids of the jobs that writes are about."""
    ids: list[str] = []
    for write in writes:
        match write:
            case Send():
                ids += (message.id for message in write.messages)
            case Settle():
                ids += (settlement.lease.job_id for settlement in write.settlements)
            case Extend():
                ids += (lease.job_id for lease in write.leases)
            case CancelJobs() | RetryJobs() | PurgeJobs() | EditJobs():
                ids += write.ids
    return ids
