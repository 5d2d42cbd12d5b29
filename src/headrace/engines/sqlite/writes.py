"""Which plan each write has, and whether it takes on new work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.clock import Clock
from headrace.engines.sqlite import changing, leasing, moving, sending, settling, storing
from headrace.engines.sqlite.plan import Plan
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


def plan_of(write: Write[Any], clock: Clock) -> Plan[Any]:  # noqa: PLR0911, PLR0912, C901 - a row a write
    """Return the plan of a write.

    Raises:
        TypeError: there is no such write.
    """
    now = clock.now()
    match write:
        case Send():
            return sending.send(write.messages, now)
        case Settle():
            return settling.settle(write, now)
        case Extend():
            return leasing.extend(write, clock.monotonic())
        case Reclaim():
            return leasing.reclaim(write, now)
        case CancelJobs():
            return changing.cancel(write, now)
        case RetryJobs():
            return changing.retry(write, now)
        case PurgeJobs():
            return changing.purge(write, now)
        case EditJobs():
            return changing.edit(write, now)
        case PauseQueue():
            return changing.pause(write, now)
        case LimitQueue():
            return changing.limit(write, now)
        case Put():
            return storing.put(write, now)
        case Delete():
            return storing.delete(write, now)
        case Depart():
            return moving.depart(write, now)
        case Restore():
            return moving.restore(write, now)
    raise TypeError(f"{write!r:.200} is not a write this engine knows")


def takes_on(writes: Sequence[Write[Any]]) -> bool:
    """Return whether writes take on new work, which must not use up the storage reserve."""
    new = all(isinstance(write, Send) for write in writes)
    return new or any(isinstance(write, Restore) for write in writes)
