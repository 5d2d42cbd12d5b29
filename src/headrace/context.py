"""Context: what a running task is told about its job, and what it can do on the job's behalf."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.clock import Clock
from headrace.codec import Returns
from headrace.ending import RunTimeout
from headrace.errors import InvalidOption, LeaseLost, UsageError
from headrace.intake import Intake
from headrace.job import Progress
from headrace.json_form import writable
from headrace.outcome import Cancel, Release
from headrace.transaction import Completion
from headrace.write import Lease


class Run(Protocol):
    """What a worker knows of a run while it happens. Moments are those of the monotonic clock."""

    settled: bool

    @property
    def lease(self) -> Lease:
        """The right to run it."""
        ...

    @property
    def lease_until(self) -> float:
        """When the lease ends, unless a heartbeat extends it."""
        ...

    @property
    def began(self) -> float:
        """When its function was called."""
        ...

    @property
    def due(self) -> float | None:
        """When the run should have ended; None: it may take as long as it likes."""
        ...

    @property
    def stopped(self) -> str:
        """Why it should end early: "timeout", "cancelled", "lost" or "stopping"; else ""."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What the contexts of one worker share.

    Attributes:
        intake: accepts calls, and has the engine.
        clock: tells what time is left.
        deadline: seconds that one call of the engine may take.
        max_result: bytes that a result may have.
        report: takes the progress of a job, and returns at once.
    """

    intake: Intake
    clock: Clock
    deadline: float
    max_result: int
    report: Callable[[str, Progress], None]


class Context:
    """Given to a task for its parameter that is annotated with `Context`.

    Args:
        run: the run it is about.
        returns: encodes the task's results.
        workplace: what it shares with the other contexts of the worker.
    """

    __slots__ = ("_returns", "_run", "_workplace")

    def __init__(self, run: Run, returns: Returns, workplace: Workplace) -> None:
        self._run = run
        self._returns = returns
        self._workplace = workplace

    def __repr__(self) -> str:
        return f"<Context of {self.task} {self.job_id}, attempt {self.attempt}>"

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._run.lease.message.id

    @property
    def idempotency_key(self) -> str:
        """The same text in every attempt of this job: to pass on to what must happen only once."""
        return self._run.lease.message.id

    @property
    def task(self) -> str:
        """The task's name."""
        return self._run.lease.message.task

    @property
    def queue(self) -> str:
        """The queue the job came from."""
        return self._run.lease.message.queue

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._run.lease.attempt

    @property
    def lost(self) -> int:
        """How often a worker vanished while it ran this job."""
        return self._run.lease.lost

    @property
    def headers(self) -> Mapping[str, str]:
        """The small texts that travelled with the job."""
        return self._run.lease.message.headers

    @property
    def tags(self) -> tuple[str, ...]:
        """The words to find the job by."""
        return self._run.lease.message.tags

    @property
    def trace(self) -> str | None:
        """The submitter's trace context, a W3C `traceparent`."""
        return self._run.lease.message.trace

    @property
    def cancelled(self) -> bool:
        """Whether the run should end now: somebody cancelled it, or one of `check`'s reasons."""
        return bool(self._run.stopped) or self._is_lost()

    @property
    def deadline(self) -> float | None:
        """Seconds until the task's timeout, below 0 after it; None without a timeout."""
        due = self._run.due
        return None if due is None else due - self._workplace.clock.monotonic()

    def check(self) -> None:
        """Return if the run may go on. A `def` task that takes long should call it now and then.

        Raises:
            Cancel: somebody asked to cancel the job.
            RunTimeout: it takes longer than its timeout.
            Release: its worker shuts down and hands the job back.
            LeaseLost: the job is no longer this worker's; another one runs it, or will.
        """
        if self._is_lost():
            raise LeaseLost(f"job {self.job_id} is no longer this worker's")
        match self._run.stopped:
            case "cancelled":
                raise Cancel("asked for during the run")
            case "timeout":
                raise RunTimeout(f"{self.task} takes longer than its timeout")
            case "stopping":
                raise Release

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Tell how far the run has come: `job.progress()` shows it. It never blocks.

        When it is called often, only the latest is stored.

        Args:
            done: how much is done.
            total: how much there is to do.
            note: what the run is doing.

        Raises:
            InvalidOption: a number is none, or not finite, or the note is no text.
        """
        progress = Progress(
            _number("done", done), None if total is None else _number("total", total), _text(note)
        )
        self._workplace.report(self.job_id, progress)

    def transaction(self) -> Completion:
        """Open a transaction in which the job completes: `with ctx.transaction() as tx:`.

        What the block writes with `tx.execute`, the jobs it submits with `tx.submit` and the
        completion of this job become durable together, or not at all. The result is what
        `tx.done(value)` was given; what the function returns afterwards is not stored, and an
        exception after the block does not undo it. An exception in the block undoes everything,
        except `Done`, which completes it.

        The write lock is taken at the first write and is to be held shortly (1 s by default).
        In a coroutine it is `async with`, and `await tx.execute(...)`.

        Raises (at the end of the block):
            LeaseLost: the job is no longer this worker's; nothing was written.
            UsageError: the job is complete already; there is one such transaction in a run.
            TransactionTimeout: the write lock was held too long; nothing was written.
            Unsupported: the engine has no transactions.
        """
        if self._is_lost():
            raise LeaseLost(f"job {self.job_id} is no longer this worker's")
        if self._run.settled:
            raise UsageError(f"job {self.job_id} is complete: its one transaction has committed")
        workplace = self._workplace
        return Completion(
            self._run.lease,
            workplace.intake,
            self._encode,
            self._settled,
            self._lasted,
            workplace.deadline,
        )

    def _encode(self, value: object) -> bytes:
        result = self._returns.encode(value)
        if len(result) > self._workplace.max_result:
            raise ValueError(
                f"{self.task}: the result takes {len(result)} bytes, over the limit of"
                f" {self._workplace.max_result} (max_result)"
            )
        return result

    def _settled(self) -> None:
        self._run.settled = True

    def _lasted(self) -> float:
        return self._workplace.clock.monotonic() - self._run.began

    def _is_lost(self) -> bool:
        run = self._run
        return run.stopped == "lost" or run.lease_until <= self._workplace.clock.monotonic()


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        message = f"ctx.progress({name}={value!r}): must be a finite number"
        raise InvalidOption(message)
    return number


def _text(note: Any) -> str:
    if not isinstance(note, str):
        message = f"ctx.progress(note={note!r}): must be text"
        raise InvalidOption(message)
    return writable(note)
