"""What writes are about: whom they concern, and how they may be treated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.cargo import MOVE_PREFIX
from headrace.engine import Topic
from headrace.record import State
from headrace.write import (
    CancelJobs,
    Delete,
    Depart,
    EditJobs,
    Extend,
    PauseQueue,
    PurgeJobs,
    Put,
    Reclaim,
    Restore,
    RetryJobs,
    Send,
    Settle,
    Write,
)


def accepts(writes: Sequence[Write[Any]]) -> bool:
    """Return whether writes take on new things, which a full server refuses.

    What a move remembers of itself is none: it makes room.
    """
    if any(isinstance(write, Restore) for write in writes):
        return True
    return bool(writes) and all(
        isinstance(write, Send)
        or (isinstance(write, Put) and not write.key.startswith(MOVE_PREFIX))
        for write in writes
    )


def moves(writes: Sequence[Write[Any]]) -> bool:
    """Return whether something leaves or arrives with writes."""
    return any(isinstance(write, Depart | Restore) for write in writes)


def repeatable(writes: Sequence[Write[Any]]) -> bool:
    """Return whether doing writes twice does no harm: a lease is good for one settlement."""
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
        case Settle() | Reclaim() | PurgeJobs() | Depart() | Restore():
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
            case Restore():
                ids += (record.id for record in write.cargo.jobs)
            case Settle():
                ids += (settlement.lease.job_id for settlement in write.settlements)
            case Extend():
                ids += (lease.job_id for lease in write.leases)
            case CancelJobs() | RetryJobs() | PurgeJobs() | EditJobs():
                ids += write.ids
    return ids
