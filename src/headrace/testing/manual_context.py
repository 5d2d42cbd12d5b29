"""ManualContext: what a test passes to a task that wants a Context, in a plain call."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypedDict, Unpack, cast

import msgspec

from headrace.codec import Returns
from headrace.config import Config
from headrace.context import Context, Workplace
from headrace.errors import UsageError
from headrace.ids import Ids
from headrace.intake import Intake
from headrace.job import Progress
from headrace.message import VERSION, Message
from headrace.registry import AnyTask
from headrace.task import Call
from headrace.testing.clock import ManualClock
from headrace.worker.run import Stopped
from headrace.write import Lease


class Told(TypedDict, total=False):
    """What a Context may be made to tell.

    Attributes:
        attempt: the number of this attempt; 1.
        lost: how often a worker vanished before; 0.
        headers: what travelled with the job; else the task's.
        tags: the words to find it by; else the task's.
    """

    attempt: int
    lost: int
    headers: Mapping[str, str]
    tags: Iterable[str]


@dataclass
class _Run:
    """What a Context knows of a run; this one has a lease that never ends."""

    lease: Lease
    due: float | None
    began: float
    lease_until: float = math.inf
    stopped: Stopped = ""
    settled: bool = False


class ManualContext(Context):
    """A Context that a test makes, passes to a plain call, and looks at afterwards.

    Args:
        lease: says which job it is about.
        returns: encodes the task's results.
        workplace: the engine for a transaction, and the clock.
        timeout: seconds that the run may take; None: as long as it likes.

    Attributes:
        reported: what the task told with `ctx.progress`, oldest first.
    """

    def __init__(
        self, lease: Lease, returns: Returns, workplace: Workplace, timeout: float | None = None
    ) -> None:
        self.reported: list[Progress] = []
        now = workplace.clock.monotonic()
        self._manual = _Run(lease, None if timeout is None else now + timeout, now)
        super().__init__(self._manual, returns, replace(workplace, report=self._keep))

    @property
    def settled(self) -> bool:
        """Whether a transaction of the task has completed the job."""
        return self._manual.settled

    def stop(self, reason: Stopped) -> None:
        """Ask the run to end early, as a worker would: `ctx.cancelled` and `ctx.check` tell it.

        Args:
            reason: "cancelled", "timeout", "stopping" or "lost"; "" lets it go on.
        """
        self._manual.stopped = reason

    def _keep(self, _: str, progress: Progress) -> None:
        self.reported.append(progress)


def context(task: AnyTask | None = None, **told: Unpack[Told]) -> ManualContext:
    """Return a Context for a plain call: `report(context(report, attempt=2), "april")`.

    Args:
        task: the task it is passed to. Its options, and those given with `using`, are what the
            Context tells of the queue, the headers, the tags, the trace and the timeout.
        told: what it tells instead; see `Told`.

    It has no engine: `ctx.transaction()` raises UsageError. `Harness.context` gives one that does.
    """
    clock = ManualClock()
    message = envelope(Ids(clock).job_id(), task, told)
    lease = told_lease(Lease(message=message, token=1, claim="testing.1"), message, told)
    workplace = Workplace(
        intake=cast("Intake", _NoIntake()),
        clock=clock,
        deadline=0.0,
        max_result=Config().max_result,
        report=_ignore,
    )
    return ManualContext(lease, returns_of(task), workplace, timeout_of(task))


def envelope(job_id: str, task: AnyTask | None, told: Told) -> Message:
    """Return the message that a Context tells of."""
    if task is None:
        message = Message(v=VERSION, id=job_id, task="task", body=msgspec.Raw(b"{}"))
    else:
        message = Call(task, b"{}").message(job_id)
    return msgspec.structs.replace(
        message,
        headers=dict(told.get("headers", message.headers)),
        tags=tuple(told.get("tags", message.tags)),
    )


def told_lease(lease: Lease, message: Message, told: Told) -> Lease:
    """Return the lease that a Context tells of."""
    attempt, lost = told.get("attempt", 1), told.get("lost", 0)
    return msgspec.structs.replace(lease, message=message, attempt=attempt, lost=lost)


def returns_of(task: AnyTask | None) -> Returns:
    """Return what encodes the results of a task; of none, anything."""
    return Returns(_anything, "task") if task is None else task.returns


def timeout_of(task: AnyTask | None) -> float | None:
    """Return the seconds that a run of a task may take."""
    return None if task is None else task.options.timeout


class _NoIntake:
    """Stands where an engine would be."""

    @property
    def engine(self) -> NoReturn:
        """Refuse."""
        raise UsageError(
            "this Context has no engine for a transaction: make it with"
            " `with Harness(app) as test: test.context(task)`"
        )


def _ignore(job_id: str, progress: Progress) -> None:
    """Stand for a report until the Context puts its own there."""


def _anything() -> Any:
    """Stand for a task of which nothing is known."""
