"""Which plan each write has, which jobs it is about, and what it is worth a hint about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.engine import Topic
from headrace.engines.postgresql import changing, leasing, moving, sending, settling, storing
from headrace.engines.postgresql.plan import Moment, Plan
from headrace.record import State
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
    Write,
)


def plan_of(  # noqa: PLR0911, PLR0912, C901 - one row a write
    write: Write[Any], moment: Moment, *, lasting: bool = False
) -> Plan[Any]:
    """Return the plan of a write.

    Args:
        write: the write.
        moment: the time.
        lasting: whether the transaction may be open for long, and others would wait.

    Raises:
        TypeError: there is no such write.
    """
    match write:
        case Send():
            return sending.send(write.messages, moment, lasting=lasting)
        case Settle():
            return settling.settle(write, moment)
        case Extend():
            return leasing.extend(write, moment)
        case Reclaim():
            return leasing.reclaim(write, moment)
        case CancelJobs():
            return changing.cancel(write, moment)
        case RetryJobs():
            return changing.retry(write, moment)
        case PurgeJobs():
            return changing.purge(write, moment)
        case EditJobs():
            return changing.edit(write, moment)
        case PauseQueue():
            return changing.pause(write, moment)
        case LimitQueue():
            return changing.limit(write, moment)
        case Put():
            return storing.put(write, moment)
        case Delete():
            return storing.delete(write, moment)
        case Depart():
            return moving.depart(write, moment)
        case Restore():
            return moving.restore(write, moment)
    raise TypeError(f"{write!r:.200} is not a write this engine knows")


def topics_of(write: Write[Any]) -> tuple[Topic, ...]:
    """Return what others may want to look at after a write."""
    match write:
        case Send() | RetryJobs() | EditJobs() | PauseQueue():
            return ("ready",)
        case Settle() if all(
            _ends_alone(s.to, s.lease.message.order_key) for s in write.settlements
        ):
            return ("finished",)
        case Settle() | Reclaim() | PurgeJobs() | Depart() | Restore():
            return ("finished", "ready")
        case CancelJobs():
            return ("finished", "ready", "cancel")
        case Put() | Delete():
            return ("stored",)
    return ()


def _ends_alone(to: State, order_key: str | None) -> bool:
    return to is State.SUCCEEDED and order_key is None


def locks_groups(write: Write[Any]) -> bool:
    """Return whether a write may lock groups of order keys.

    Two of those in one transaction would lock in any order.
    """
    match write:
        case Send():
            return any(message.order_key is not None for message in write.messages)
        case Settle():
            return any(s.lease.message.order_key is not None for s in write.settlements)
        case Reclaim() | CancelJobs() | RetryJobs() | PurgeJobs() | EditJobs():
            return True
        case Depart() | Restore():
            return True
    return False


def may_wait(write: Write[Any]) -> bool:
    """Return whether a write may have to wait for others' open transactions."""
    match write:
        case Send():
            return any(message.unique_key is not None for message in write.messages)
        case Depart() | Restore():
            return True
    return False


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
            case Restore():
                ids += (record.id for record in write.cargo.jobs)
    return ids
