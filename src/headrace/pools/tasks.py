"""TaskPool: runs coroutines, an asyncio task each, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from headrace.pool import Performer

RunT = TypeVar("RunT", bound=Hashable)

_log = logging.getLogger("headrace")

_STOP_SECONDS = 2.0

if sys.version_info >= (3, 12):
    # Its first step at once: a run that never waits costs the loop nothing.
    _start = functools.partial(asyncio.Task, eager_start=True)
else:
    _start = asyncio.Task


class TaskPool(Generic[RunT]):
    """Runs up to `slots` coroutines at a time.

    The loop has a thread of its own, so that it works the same in a script, under a web server's
    loop and in a worker process, and so that the worker notices when a run blocks it.

    Args:
        slots: runs at a time.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._waiting: deque[RunT] = deque()
        self._running: dict[RunT, asyncio.Task[None]] = {}
        self._low = 0
        self._told = True
        self._called = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def waiting(self) -> int:
        """How many runs wait for a slot."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many coroutines have begun and not ended."""
        return len(self._running)

    def start(self, performer: Performer[RunT], hungry: Callable[[], None]) -> None:
        """Start the loop's thread; see `Pool.start`."""
        self._performer = performer
        self._hungry = hungry
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run_loop, args=(started,), name="headrace-tasks", daemon=True
        )
        self._thread.start()
        started.wait()

    def submit(self, runs: Sequence[RunT]) -> None:
        """Accept runs; one wake-up of the loop for all of them."""
        self._waiting.extend(runs)
        self._low = len(self._waiting) // 2
        self._told = False
        self._call(self._begin)

    def withdraw(self) -> list[RunT]:
        """Take back the runs that have not begun."""
        return _drain(self._waiting)

    def interrupt(self, run: RunT) -> None:
        """Cancel a run's task."""
        self._call(self._cancel, run)

    def stop(self) -> bool:
        """End the loop, with whatever tasks the runs have left behind on it."""
        if self._thread is None or self._loop is None:
            return True
        self._stopping.set()
        self._call(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        return not self._thread.is_alive()

    def _run_loop(self, started: threading.Event) -> None:
        # The runner cancels what is left at the end, and closes generators and the executor.
        with asyncio.Runner() as runner:
            self._loop = loop = runner.get_loop()
            started.set()
            while not self._stopping.is_set():
                try:
                    loop.run_forever()
                except BaseException:  # noqa: BLE001 - a run may leave behind what raises SystemExit
                    _log.exception("something has ended the event loop of all runs; it goes on")

    def _call(self, function: Callable[..., object], *arguments: RunT) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # closed: there is nothing left to call for
                self._loop.call_soon_threadsafe(function, *arguments)

    def _begin(self) -> None:
        """Fill the free slots."""
        self._called = False
        begun = 0
        while self._waiting and len(self._running) < self.slots and not self._stopping.is_set():
            if begun == self.slots:  # all of them have ended at once: others have their turn
                self._begin_soon()
                break
            try:
                run = self._waiting.popleft()
            except IndexError:  # withdrawn at this very moment
                break
            # A context of its own: what a run puts into context variables ends with it.
            task = _start(self._perform(run), loop=self._loop, context=contextvars.Context())
            if not task.done():
                self._running[run] = task
            begun += 1
        waiting = len(self._waiting)
        if not waiting or (not self._told and waiting <= self._low):
            self._told = True
            self._hungry()

    async def _perform(self, run: RunT) -> None:
        try:
            await self._performer.perform_async(run)
        finally:
            if self._running.pop(run, None) is not None:
                self._begin_soon()

    def _begin_soon(self) -> None:
        """Fill the free slots once in this turn of the loop, however many runs end in it."""
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._begin, context=contextvars.Context())

    def _cancel(self, run: RunT) -> None:
        task = self._running.get(run)
        if task is not None:
            # Not at once: a task that is cancelled before its first step never enters
            # its coroutine, which then could not say what became of the run.
            asyncio.get_running_loop().call_soon(task.cancel)


def _drain(runs: deque[RunT]) -> list[RunT]:
    """Empty a deque that another thread takes from, too."""
    taken: list[RunT] = []
    while runs:
        try:
            taken.append(runs.popleft())
        except IndexError:
            break
    return taken
