"""What writes concern: the jobs they are about, and what others may want to look at after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def topics_of(writes: Sequence[Write[Any]]) -> tuple[Topic, ...]:
    """Return what others may want to look at after writes, each topic once."""
    if len(writes) == 1:  # as nearly always
        return _topics(writes[0])
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
    """Return the ids of the jobs that writes are about, for `OutcomeUnknown`."""
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
            case Restore():
                ids += (record.id for record in write.cargo.jobs)
    return ids
