"""Transaction: a task's own writes, its new jobs and its completion, all or nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Raw

from headrace.callers import answer, refuse_on_loop
from headrace.engine import Tx
from headrace.errors import HeadraceError
from headrace.intake import Intake
from headrace.job import Job
from headrace.outcome import Done
from headrace.record import State
from headrace.reply import Reply
from headrace.task import Call
from headrace.write import Lease, Settle, Settled, Settlement

_log = logging.getLogger("headrace")

Row = tuple[Any, ...]


class Completion:
    """The block of `ctx.transaction()`, for `with` and for `async with`.

    Args:
        lease: the lease of the run that completes.
        intake: accepts new jobs, and has the engine.
        encode: makes JSON of a result, or raises ValueError.
        settled: called when the completion is durable.
        lasted: tells how long the run has taken so far, in seconds.
        deadline: seconds that one call of the engine may take.
    """

    def __init__(
        self,
        lease: Lease,
        intake: Intake,
        encode: Callable[[object], bytes],
        settled: Callable[[], None],
        lasted: Callable[[], float],
        deadline: float,
    ) -> None:
        self.intake = intake
        self.encode = encode
        self.deadline = deadline
        self.tx = intake.engine.begin()
        self.result: bytes | None = None
        self._lease = lease
        self._settled = settled
        self._lasted = lasted

    def __enter__(self) -> Transaction:
        refuse_on_loop("with ctx.transaction()", "async with ctx.transaction()")
        return Transaction(self)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if self._ends_well(error):
                self._settle().wait(self.deadline)
                self.tx.commit().wait(self.deadline)
                self._settled()
        finally:
            try:
                self.tx.rollback().wait(self.deadline)
            except HeadraceError as trouble:
                self._tell(trouble)

    async def __aenter__(self) -> AsyncTransaction:
        return AsyncTransaction(self)

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if self._ends_well(error):
                await answer(self._settle(), self.deadline)
                await answer(self.tx.commit(), self.deadline)
                self._settled()
        finally:
            try:
                await answer(self.tx.rollback(), self.deadline)
            except HeadraceError as trouble:
                self._tell(trouble)

    def _ends_well(self, error: BaseException | None) -> bool:
        if isinstance(error, Done):
            self.result = self.encode(error.value)
        return error is None or isinstance(error, Done)

    def _settle(self) -> Reply[Settled]:
        result = self.encode(None) if self.result is None else self.result
        done = Settlement(
            lease=self._lease, to=State.SUCCEEDED, result=Raw(result), seconds=self._lasted()
        )
        return self.intake.engine.apply(Settle((done,), strict=True), self.tx)

    def _tell(self, trouble: HeadraceError) -> None:
        _log.warning("job %s: rolling back its transaction: %s", self._lease.job_id, trouble)


class _Open:
    """What both kinds of callers find in the block."""

    __slots__ = ("_completion",)

    def __init__(self, completion: Completion) -> None:
        self._completion = completion

    @property
    def tx(self) -> Tx:
        """The engine's own transaction."""
        return self._completion.tx

    def done(self, value: object) -> None:
        """Give the job's result, which is stored when the block ends; without it, it is None.

        Raises:
            ValueError: the value is not what the task's annotation promises, or is too large.
        """
        self._completion.result = self._completion.encode(value)


class Transaction(_Open):
    """What `with ctx.transaction() as tx:` gives; `task.using(tx=tx).submit(...)` takes it too."""

    __slots__ = ()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement in the engine's database and return its rows.

        Raises:
            TransactionTimeout: the write lock was held too long; everything was undone.
            UsageError: it is not one statement, or touches Headrace's own tables.
        """
        refuse_on_loop("tx.execute()", "async with ctx.transaction()")
        return self.tx.execute(sql, parameters).wait(self._completion.deadline)

    def submit(self, calls: Iterable[Call[Any]]) -> list[Job[Any]]:
        """Submit calls; they become jobs when the block ends."""
        refuse_on_loop("tx.submit()", "async with ctx.transaction()")
        reply, jobs = self._completion.intake.send(tuple(calls), self.tx)
        reply.wait(self._completion.deadline)
        return jobs


class AsyncTransaction(_Open):
    """What `async with ctx.transaction() as tx:` gives; the twin of `Transaction`."""

    __slots__ = ()

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement; the twin of `Transaction.execute`, with the same errors."""
        return await answer(self.tx.execute(sql, parameters), self._completion.deadline)

    async def submit(self, calls: Iterable[Call[Any]]) -> list[Job[Any]]:
        """Submit calls; they become jobs when the block ends."""
        reply, jobs = self._completion.intake.send(tuple(calls), self.tx)
        await answer(reply, self._completion.deadline)
        return jobs
