"""Callers are of two kinds, blocking and awaiting; both get the same `Reply` from an engine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.errors import BlockingCall, UsageError
from headrace.reply import Errand, Reply, Unanswered

if TYPE_CHECKING:  # at run time it is imported where it is used: many programs have no loop
    import asyncio

T = TypeVar("T")

_teller = threading.local()


def on_loop() -> bool:
    """Whether an event loop runs in this thread."""
    # Importing asyncio takes as long as all the rest; whoever runs a loop has imported it.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 - raises not


def refuse_on_loop(method: str, twin: str) -> None:
    """Refuse to block a running event loop (a notebook has one as well), or a `telling` thread.

    Args:
        method: the blocking method, as its caller wrote it.
        twin: what to write instead.

    Raises:
        BlockingCall: an event loop runs in this thread.
        UsageError: a subscriber of events runs in it.
    """
    if getattr(_teller, "tells", False):
        raise UsageError(f"{method} in a subscriber of events: hand it to a thread of your own")
    if on_loop():
        raise BlockingCall(f"{method} would block the running event loop; write `{twin}` instead")


@contextmanager
def telling() -> Iterator[None]:
    """Tell others something in a `with` block, in which they may not wait for the engine.

    The thread may be the engine's own: it would wait for itself.
    """
    before, _teller.tells = getattr(_teller, "tells", False), True
    try:
        yield
    finally:
        _teller.tells = before


async def answer(reply: Reply[T], timeout: float | None) -> T:  # noqa: ASYNC109 - as `Reply.wait`
    """Await a reply for at most `timeout` seconds; None awaits it for ever, as does an errand.

    Raises:
        Unanswered: it was not there in time. The reply has failed with it, too.
    """
    if reply.done or timeout is None or isinstance(reply, Errand):
        return await reply
    import asyncio  # noqa: PLC0415 - as above

    # Half the price of asyncio.timeout, which would cancel this task, and once per submit.
    timer = asyncio.get_running_loop().call_later(timeout, _give_up, reply, timeout)
    try:
        return await reply
    finally:
        timer.cancel()


class Patience:
    """Awaits many replies, each for the same time, with one timer for all.

    One for each would be about a tenth of what a submit costs.

    Args:
        seconds: for which a reply is awaited at most.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._here: _Awaited | None = None

    async def answer(self, reply: Reply[T]) -> T:
        """Await a reply; the twin of the function, with the same answer and errors."""
        if reply.done or isinstance(reply, Errand):
            return await reply
        import asyncio  # noqa: PLC0415 - as above

        loop = asyncio.get_running_loop()
        here = self._here
        if here is None or here.loop is not loop:
            here = self._here = _Awaited(loop, self._seconds)
        here.add(reply)
        try:
            return await reply
        finally:
            here.until.pop(reply, None)


class _Awaited:
    """What is awaited on one loop, the oldest first, until which of the loop's moments."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop = loop
        self.until: dict[Reply[Any], float] = {}
        self._seconds = seconds
        self._timed = False

    def add(self, reply: Reply[Any]) -> None:
        self.until[reply] = until = self.loop.time() + self._seconds
        if not self._timed:
            self._look_at(until)

    def _look_at(self, moment: float) -> None:
        self._timed = True
        # In no caller's context, which would be kept for as long as any reply is awaited.
        self.loop.call_at(moment, self._look, context=Context())

    def _look(self) -> None:
        self._timed = False
        now = self.loop.time()
        for reply, until in self.until.items():
            if until > now:
                self._look_at(until)
                return
            _give_up(reply, self._seconds)


def _give_up(reply: Reply[Any], seconds: float) -> None:
    reply.fail(Unanswered(seconds))


async def pause(seconds: float) -> None:
    """Let some time pass."""
    import asyncio  # noqa: PLC0415 - as above

    await asyncio.sleep(seconds)


async def in_thread(function: Callable[[], T]) -> T:
    """Call what blocks for a moment, in a thread, and return what it returns."""
    import asyncio  # noqa: PLC0415 - as above

    return await asyncio.to_thread(function)
