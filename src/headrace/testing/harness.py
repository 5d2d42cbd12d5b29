"""Harness: puts an App on an engine of its own for a test, and runs its jobs when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Self, Unpack

import msgspec
from msgspec.structs import replace

from headrace.app import App
from headrace.callers import refuse_on_loop
from headrace.connect import Connection
from headrace.context import Workplace
from headrace.ids import Ids
from headrace.message import VERSION, Message
from headrace.record import Filter, Record, State
from headrace.registry import AnyTask
from headrace.testing import manual_context as manual
from headrace.testing.clock import ManualClock
from headrace.testing.manual_context import ManualContext, Told
from headrace.testing.worker import LEASE_SECONDS, Expected, adrain, drain
from headrace.write import Send


class Harness:
    """An App in a test: `with Harness(app) as test:`, or `async with`.

    In the block, whatever the program submits with the App waits in memory until the test says
    `drain()`. Afterwards the App is as it was. Time is the test's own: it passes only by
    `test.clock.advance(seconds)`. The waits before retries have no jitter here.

    Args:
        app: the App of the program, with its tasks, its middleware and its limits.
        url: what keeps the jobs. The memory engine has no SQL: a task that uses `tx.execute` needs
            a file, such as f"sqlite:///{tmp_path}/jobs.db".
        clock: what tells the time; several harnesses may share one.

    Attributes:
        app: the App.
        clock: what tells the time.
    """

    def __init__(self, app: App, url: str = "memory:", *, clock: ManualClock | None = None) -> None:
        self.app = app
        self.clock = clock or ManualClock()
        self._ids = _EvenIds(self.clock)
        # No test needs a reserve for the day the disk is full.
        config = replace(app.config, url=url, ballast=0)
        self._connection = Connection(config, self.clock, self._ids)
        self._end = ExitStack()

    def __enter__(self) -> Self:
        refuse_on_loop("with Harness(...)", "async with Harness(...)")
        return self._begin()

    def __exit__(self, *_: object) -> None:
        self._end.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self._begin)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._end.close)

    def drain(self, *, expected: Expected = (), limit: int = 10_000) -> list[Record]:
        """Run what is due until nothing is; see `headrace.testing.drain`."""
        return drain(self.app, expected=expected, limit=limit)

    async def adrain(self, *, expected: Expected = (), limit: int = 10_000) -> list[Record]:
        """Run what is due; the twin of `drain`, with the same answer and errors."""
        return await adrain(self.app, expected=expected, limit=limit)

    def jobs(
        self,
        *,
        task: AnyTask | str | None = None,
        state: State | str | None = None,
        queue: str | None = None,
    ) -> list[Record]:
        """Return what is known of the jobs, in the order of their submission.

        Args:
            task: only those of this task, or of the task of this name.
            state: only those in this state, such as "ready".
            queue: only those of this queue.

        Raises:
            ValueError: there is no such state.
            BlockingCall: an event loop runs in this thread: await `ajobs`.
        """
        refuse_on_loop("test.jobs()", "await test.ajobs()")
        return list(self._jobs(_filter(task, state, queue)))[::-1]

    async def ajobs(
        self,
        *,
        task: AnyTask | str | None = None,
        state: State | str | None = None,
        queue: str | None = None,
    ) -> list[Record]:
        """Return what is known of the jobs; the twin of `jobs`, with the same answer and errors."""
        where = _filter(task, state, queue)
        return await asyncio.to_thread(lambda: list(self._jobs(where))[::-1])

    def context(self, task: AnyTask | None = None, **told: Unpack[Told]) -> ManualContext:
        """Return a Context for a plain call, whose `transaction()` works.

        A job stands behind it, which is running until a transaction completes it.

        Args:
            task: the task it is passed to; see `headrace.testing.context`.
            told: what it tells instead of the task's options.
        """
        refuse_on_loop("test.context()", "await test.acontext()")
        return self._context(task, told)

    async def acontext(self, task: AnyTask | None = None, **told: Unpack[Told]) -> ManualContext:
        """Return a Context; the twin of `context`."""
        return await asyncio.to_thread(self._context, task, told)

    def _begin(self) -> Self:
        deadline = self.app.config.deadline
        self._connection.open().wait(deadline)
        self._end.callback(lambda: self._connection.close().wait(deadline))
        engine = self._connection.engine
        self._end.enter_context(self.app.diverted(engine, self.clock, self._ids))
        return self

    def _jobs(self, where: Filter) -> Iterator[Record]:
        """Yield them, the newest first."""
        engine, deadline = self._connection.engine, self.app.config.deadline
        page = engine.find(where).wait(deadline)
        yield from page.records
        while page.cursor is not None:
            page = engine.find(where, cursor=page.cursor).wait(deadline)
            yield from page.records

    def _context(self, task: AnyTask | None, told: Told) -> ManualContext:
        app, engine, deadline = self.app, self._connection.engine, self.app.config.deadline
        message = manual.envelope(self._ids.job_id(), task, told)
        # In a queue of its own, without the options that could hold it up: it runs from the start.
        queue = f"context.{message.id}"
        job = Message(v=VERSION, id=message.id, task=message.task, body=message.body, queue=queue)
        engine.apply(Send((job,))).wait(deadline)
        claim = engine.lease([queue], limit=1, seconds=LEASE_SECONDS, holder="testing")
        (lease,) = claim.wait(deadline)
        workplace = Workplace(
            intake=app.intake,
            clock=self.clock,
            deadline=deadline,
            max_result=app.config.max_result,
            report=lambda *_: None,
        )
        lease = manual.told_lease(lease, message, told)
        returns, timeout = manual.returns_of(task), manual.timeout_of(task)
        return ManualContext(lease, returns, workplace, timeout)


def arguments(job: Record) -> dict[str, Any]:
    """Return a job's arguments by name, as JSON has them; defaults that were not given are not."""
    given: dict[str, Any] = msgspec.json.decode(job.message.body)
    return given


def _filter(task: AnyTask | str | None, state: State | str | None, queue: str | None) -> Filter:
    name = task if task is None or isinstance(task, str) else task.name
    return Filter(
        states=() if state is None else (State(state),),
        queues=() if queue is None else (queue,),
        tasks=() if name is None else (name,),
    )


class _EvenIds(Ids):
    """Makes ids as ever, but spreads nothing: a wait is exactly as long as the policy says."""

    def fraction(self) -> float:
        return 0.5
