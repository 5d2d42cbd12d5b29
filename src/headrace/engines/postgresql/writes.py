"""Which plan each write has, and what it may lock or have to wait for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headrace.engines.postgresql import changing, leasing, moving, sending, settling, storing
from headrace.engines.postgresql.plan import Moment, Plan
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


def queues_of(writes: Iterable[Write[Any]]) -> tuple[str, ...]:
    """Return the queues that writes must find, and would make if they are not there."""
    names: dict[str, None] = {}
    for write in writes:
        match write:
            case Send():
                names.update(dict.fromkeys(message.queue for message in write.messages))
            case PauseQueue() | LimitQueue():
                names[write.queue] = None
            case Restore():
                names.update(dict.fromkeys(r.message.queue for r in write.cargo.jobs))
    return tuple(names)
