"""Inside: what happens inside a child process of the ProcessPool: it does errands, one by one."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import os
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from queue import SimpleQueue
from typing import Any

import msgspec

from headrace import logs
from headrace.child import Channel
from headrace.clock import Clock
from headrace.context import Context, Workplace
from headrace.ending import Ending, Endings, never_began
from headrace.errand import ANSWER, NOTE, READY, Answer, Errand, decode_errand, encode
from headrace.errors import UnknownTask
from headrace.job import Progress
from headrace.middleware import Middleware, compose
from headrace.record import Cause
from headrace.registry import AnyTask, Registry
from headrace.write import Lease

Report = Callable[[str, Progress], None]


class _Run(msgspec.Struct, eq=False):
    """What a Context knows of the run. It is never asked to stop: it would be killed instead."""

    lease: Lease
    due: float | None
    began: float
    lease_until: float = math.inf
    stopped: str = ""
    settled: bool = False
    ended: bool = False
    logs: Any = None


class Inside:
    """Calls functions for a worker, in the main thread of this process.

    Args:
        registry: the tasks.
        middleware: what is wrapped around every call.
        channel: to the worker.
        clock: tells what time is left.
        open_workplace: makes what contexts share, once one is wanted: it opens the engine.
        max_result: bytes of a result, at most.
    """

    def __init__(
        self,
        registry: Registry,
        middleware: Sequence[Middleware],
        channel: Channel,
        *,
        clock: Clock,
        open_workplace: Callable[[Report], Workplace],
        max_result: int,
    ) -> None:
        self._registry = registry
        self._middleware = middleware
        self._channel = channel
        self._clock = clock
        self._open_workplace = open_workplace
        self._max_result = max_result
        self._errands: SimpleQueue[bytes] = SimpleQueue()

    def run(self) -> None:
        """Do errands until the worker is gone: with it, this process ends, whatever it does."""
        logs.LastLines().start()
        threading.Thread(target=self._listen, name="headrace-errands", daemon=True).start()
        self._channel.send(READY)
        while True:
            errand = decode_errand(self._errands.get())
            # A context of its own: what a run puts into context variables ends with it.
            answer = contextvars.Context().run(self._do, errand)
            self._channel.send(ANSWER + encode(answer))

    def _listen(self) -> None:
        while (errand := self._channel.receive()) is not None:
            self._errands.put(errand)
        # Nobody waits for the outcome any more, and another worker will run the job again.
        os._exit(1)

    def _do(self, errand: Errand) -> Answer:
        now = self._clock.monotonic()
        run = _Run(errand.lease, None if errand.seconds is None else now + errand.seconds, now)
        logs.current.set(run)
        try:
            return self._answer(run)
        finally:
            run.ended = True

    def _answer(self, run: _Run) -> Answer:
        message = run.lease.message
        try:
            task = self._registry.get(message.task)
        except UnknownTask as error:
            return Answer(never_began(Cause.UNKNOWN_TASK, str(error)))
        endings = Endings(task.returns, task.options.retry.rules, self._max_result)
        try:
            call = self._prepare(task, run)
        except Exception as error:  # noqa: BLE001 - the user's own types may raise anything
            return Answer(never_began(Cause.INVALID_ARGUMENTS, str(error)))
        return Answer(_end(call, endings, run), run.settled)

    def _prepare(self, task: AnyTask, run: _Run) -> Callable[[], object]:
        """Return the call, with its arguments; a coroutine function gets a loop of its own."""
        function, context = task.function, None
        if task.parameters.injected or self._middleware:
            context = Context(run, task.returns, self._workplace)
        args, kwargs = task.parameters.decode(run.lease.message.body, context)
        if self._middleware:
            function, args = compose(self._middleware, function), (context, *args)
        if inspect.iscoroutinefunction(function):
            return lambda: asyncio.run(function(*args, **kwargs))
        return lambda: function(*args, **kwargs)

    @cached_property
    def _workplace(self) -> Workplace:
        return self._open_workplace(self._report)

    def _report(self, _: str, progress: Progress) -> None:
        self._channel.send(NOTE + encode(progress))


def _end(call: Callable[[], object], endings: Endings, run: _Run) -> Ending:
    try:
        return endings.of_value(call())
    except BaseException as error:  # noqa: BLE001 - SystemExit, too, is this run's failure only
        return endings.of_error(error, tuple(run.logs or ()))
