"""The one reader of a process: it looks into the database on a thread and a connection of its own.

It looks at what is committed, and never waits for a writer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from headrace.clock import SystemClock
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.trouble import Kind, kind_of, told
from headrace.errors import EngineClosed
from headrace.reply import Reply

T = TypeVar("T")

_BACKOFF_FIRST = 0.05
_BACKOFF_LAST = 1.0

_Question = tuple[Callable[[Link], Any], Reply[Any], float]


class Reader:
    """Answers questions, one after another.

    Args:
        connect: opens a connection; called on the reader's thread at the first question.
        deadline: seconds for which a server that is away is waited for.
    """

    def __init__(self, connect: Callable[[], Link], deadline: float) -> None:
        self._connect = connect
        self._deadline = deadline
        self._time = SystemClock().monotonic
        self._link: Link | None = None
        self._waiting: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-reader", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def look(self, look: Callable[[Link], T]) -> Reply[T]:
        """Return what `look(link)` returns."""
        reply: Reply[T] = Reply()
        self._waiting.put((look, reply, self._time() + self._deadline))
        if self._ended.is_set():
            self._refuse_the_rest()  # its thread may look no more
        return reply

    def close(self) -> None:
        """Answer what was asked, then stop. Harmless when repeated."""
        self._ended.set()
        self._waiting.put(None)
        self._thread.join()

    # On the reader's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while (question := self._waiting.get()) is not None:
            self._answer(*question)
        self._disconnect()
        self._refuse_the_rest()

    def _answer(self, look: Callable[[Link], T], reply: Reply[T], until: float) -> None:
        pause = _BACKOFF_FIRST
        while True:
            try:
                reply.resolve(look(self._linked()))
            except Exception as error:  # noqa: BLE001 - it is told to the caller
                away = kind_of(error, lost=self._lost()) is not Kind.REFUSED
                self._drop()
                if away and self._time() + pause < until and not self._ended.is_set():
                    self._ended.wait(pause)
                    pause = min(_BACKOFF_LAST, pause * 2)
                    continue
                reply.fail(told(error))
            return

    def _linked(self) -> Link:
        if self._link is None:
            self._link = self._connect()
        return self._link

    def _lost(self) -> bool:
        return self._link is None or self._link.broken

    def _drop(self) -> None:
        """Begin the next look on a connection on which nothing is open."""
        if self._link is not None and not self._link.broken:
            self._link.rollback()
        if self._lost():
            self._disconnect()

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                left = self._waiting.get_nowait()
            except queue.Empty:
                return
            if left is not None:
                left[1].fail(EngineClosed("the engine is closed"))
