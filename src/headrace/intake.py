"""Intake: where calls become jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace.clock import Clock
from headrace.engine import Engine
from headrace.errors import OutcomeUnknown, QueueFull, UsageError
from headrace.ids import Ids
from headrace.job import Job
from headrace.message import Message
from headrace.reply import Reply
from headrace.task import Call
from headrace.watcher import Watcher
from headrace.write import Send, Sent

Jobs = list[Job[Any]]

_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5


class Intake:
    """Sends calls to an engine.

    Args:
        engine: what keeps the jobs.
        watcher: tells the jobs' submitters when they are finished.
        ids: names the jobs.
        clock: tells how long a submit has waited for room.
    """

    def __init__(self, engine: Engine, watcher: Watcher, ids: Ids, clock: Clock) -> None:
        self.engine = engine
        self.watcher = watcher
        self.ids = ids
        self.clock = clock

    def send(
        self, calls: Sequence[Call[Any]], tx: object | None = None
    ) -> tuple[Reply[Sent], Jobs]:
        """Send calls, all or none of them, and return the engine's reply and the jobs to be.

        Args:
            calls: what to send.
            tx: the transaction it is a part of: the engine's own, or that of a connection.

        Raises:
            UsageError: the engine cannot join that transaction.
        """
        adopted = None if tx is None else self.engine.adopt(tx)
        messages: list[Message] = []
        jobs: Jobs = []
        for call, job_id in zip(calls, self.ids.job_ids(len(calls)), strict=True):
            messages.append(call.message(job_id))
            jobs.append(Job(job_id, self.watcher, call.task.returns))
        return self.engine.apply(Send(tuple(messages)), adopted), jobs


class Submission:
    """The calls of one submit, which may have to be sent again until there is room for them.

    Args:
        calls: what is submitted.
        tx: a transaction that it is a part of; the calls' own options may name it as well.

    Raises:
        UsageError: something else than calls, or several transactions.
    """

    def __init__(self, calls: Iterable[Call[Any]], tx: object | None) -> None:
        if isinstance(calls, Call):
            raise UsageError("submit takes a list of calls: app.submit([task.call(...)])")
        self.calls = tuple(calls)
        joined = {} if tx is None else {id(tx): tx}
        for call in self.calls:
            if not isinstance(call, Call):
                raise UsageError(f"submit takes calls, as task.call(...) gives, not {call!r:.100}")
            if (named := call.task.options.tx) is not None:
                joined[id(named)] = named
        if len(joined) > 1:
            raise UsageError("the calls name several transactions; submit them one by one")
        self.tx = _inner(*joined.values()) if joined else None
        self._until: float | None = None

    def pause(self, full: QueueFull, intake: Intake) -> float:
        """Return the seconds until it should be tried again.

        Raises:
            QueueFull: the calls wait no longer, or hold up a transaction meanwhile.
        """
        now = intake.clock.monotonic()
        if self._until is None:
            longest = max(call.task.options.wait for call in self.calls)
            self._until = now + (longest if self.tx is None else 0.0)
        left = self._until - now
        if left <= 0:
            raise full
        # Spread, so that those who wait for the same room do not all come at once.
        likely = full.retry_after * (0.5 + intake.ids.fraction())
        return min(max(likely, _SHORTEST_PAUSE), _LONGEST_PAUSE, left)


def unknown(jobs: Jobs) -> OutcomeUnknown:
    """Return what a submit raises when it has waited for the engine's answer in vain."""
    return OutcomeUnknown(
        f"the engine did not say in time whether {len(jobs)} jobs were accepted:"
        " app.job(id) tells, later",
        [job.id for job in jobs],
    )


def _inner(tx: object) -> object:
    # A task's transaction block is not the engine's transaction, but has it.
    return getattr(tx, "tx", tx)
