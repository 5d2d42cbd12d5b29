"""Run: one run of a job in this worker, from its claim to its settlement."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from headrace.codec import Returns
from headrace.ending import Endings
from headrace.pool import Pool
from headrace.retry import RetryPolicy
from headrace.write import Lease

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Stopped = Literal["", "timeout", "cancelled", "lost", "stopping"]


class Recipe(msgspec.Struct, eq=False, kw_only=True):
    """All that the runs of one task need, looked up once per task instead of once per run.

    Attributes:
        function: the task's function, inside the middleware.
        wrapped: whether there is middleware, which takes a Context before the arguments.
        injects: whether the function itself wants a Context.
        decode: makes its arguments of a body and a Context.
        returns: encodes its results.
        endings: judges what it returns and raises.
        policy: the task's own retry policy.
        timeout: seconds that a run may take, unless its message says otherwise.
        pool: where it runs.
    """

    function: Callable[..., Any]
    wrapped: bool
    injects: bool
    decode: Callable[[msgspec.Raw, object], Arguments]
    returns: Returns
    endings: Endings
    policy: RetryPolicy
    timeout: float | None
    pool: Pool[Run]


class Run(msgspec.Struct, eq=False):
    """One run of a job. Two runs are never equal, so that a job's older run is not taken for it.

    Attributes:
        lease: the right to run it.
        recipe: what its task needs.
        lease_until: our own deadline of the lease, by the monotonic clock; a heartbeat moves it.
        timeout: seconds it may take; None: for ever.
        due: when it should have ended, by the monotonic clock, once it has begun.
        stopped: why it was asked to end early; "" while it may go on.
        stuck: it goes on although its timeout and the grace have passed; its lease is given up.
        settled: its completion is written already, by a transaction of its own.
        ended: its function has returned.
        refused: the engine would not write what it came to, so the job is to end as dead.
        logs: its last log lines.
        claimed: when its claim was sent, by the monotonic clock.
        began: when its function was called, by the monotonic clock.
    """

    lease: Lease
    recipe: Recipe
    lease_until: float
    timeout: float | None = None
    due: float | None = None
    stopped: Stopped = ""
    stuck: bool = False
    settled: bool = False
    ended: bool = False
    refused: bool = False
    logs: deque[str] | None = None
    claimed: float = math.inf
    began: float = math.inf

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.lease.message.id

    def stop(self, reason: Stopped) -> None:
        """Ask it to end early.

        The first reason counts, except that a lost lease outweighs all others: nothing that the run
        comes to may be written any more.
        """
        if self.ended:
            return
        if not self.stopped or reason == "lost":
            self.stopped = reason
        self.recipe.pool.interrupt(self)
