"""One write of each kind, for what an engine has to know all of them for."""

from __future__ import annotations

from typing import Any

from headrace.cargo import Cargo
from headrace.record import Failure, QueueLimits, State
from headrace.testing.steps import message
from headrace.write import (
    CancelJobs,
    Delete,
    Depart,
    EditJobs,
    Extend,
    Lease,
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

LEASE = Lease(message=message("a"), token=1, claim="w.1")

EVERY_WRITE: tuple[Write[Any], ...] = (
    Send((message("a"),)),
    Settle((Settlement(lease=LEASE, to=State.SUCCEEDED),)),
    Extend((LEASE,), 30.0),
    Reclaim("w", Failure(cause="crash")),
    CancelJobs(("a",)),
    RetryJobs(("a",)),
    PurgeJobs(("a",)),
    EditJobs(("a",)),
    PauseQueue("q"),
    LimitQueue("q", QueueLimits()),
    Put("k", b""),
    Delete("k"),
    Depart("k", 1, 1),
    Restore(Cargo()),
)
