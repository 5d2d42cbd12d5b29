"""Site: what the parts of one worker share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from headrace.clock import Clock
from headrace.engine import Engine
from headrace.errors import HeadraceError
from headrace.ids import Ids
from headrace.telemetry import Telemetry
from headrace.worker.exits import Exit

_log = logging.getLogger("headrace")

_UNTIL_THE_END = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a worker works by. All times are seconds.

    Attributes:
        queues: names of the queues it takes jobs from.
        holder: its incarnation: a name that no worker had before.
        lease: how long a claim is valid without a heartbeat.
        grace: how long runs may go on once they were asked to end: at a stop, or at their timeout.
        poll: how long a claim waits for the first job.
        max_result: bytes of a result, at most.
        deadline: how long one call of the engine may take.
        most_jobs: after so many jobs it has done enough; None: never.
        most_mib: it has done enough when its memory has grown so large; None: never.
    """

    queues: tuple[str, ...]
    holder: str
    lease: float
    grace: float
    poll: float
    max_result: int
    deadline: float
    most_jobs: int | None = None
    most_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the parts of one worker share.

    Attributes:
        engine: where jobs come from, and where their outcomes go.
        terms: what the worker works by.
        clock: the source of time.
        ids: the source of randomness.
        telemetry: told of what happens.
        ended: called, from any thread and perhaps more than once, when the worker cannot go on;
            then it is to be stopped.
    """

    engine: Engine
    terms: Terms
    clock: Clock
    ids: Ids
    telemetry: Telemetry
    ended: Callable[[Exit], None]

    def engine_failed(self, error: BaseException) -> float:
        """End the worker: what the engine has written is unknown to this process.

        Returns:
            How long whoever met the error is to pause: until the end.
        """
        unforeseen = None if isinstance(error, HeadraceError) else error
        _log.error("the engine failed, so this worker ends: %s", error, exc_info=unforeseen)
        self.ended(Exit.ENGINE)
        return _UNTIL_THE_END
