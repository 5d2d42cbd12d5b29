"""The one reader of a process: it looks into the database on a thread and a connection of its own.

It looks at what is committed, and never waits for a writer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import apsw

from headrace.engines.sqlite.trouble import trouble
from headrace.errors import EngineClosed
from headrace.reply import Reply

T = TypeVar("T")

_BUSY_MILLISECONDS = 1000

_Question = tuple[Callable[[apsw.Connection], Any], Reply[Any]]
_Order = Callable[[], None]


class Reader:
    """Answers questions, one after another.

    Args:
        connect: opens a connection; called on the reader's thread at the first question.
    """

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._connection: apsw.Connection | None = None
        self._waiting: queue.SimpleQueue[_Question | _Order] = queue.SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="headrace-reader", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def look(self, look: Callable[[apsw.Connection], T]) -> Reply[T]:
        """Return what `look(connection)` returns."""
        reply: Reply[T] = Reply()
        self._waiting.put((look, reply))
        if self._ended:
            self._refuse_the_rest()  # its thread may look no more
        return reply

    def leave(self) -> None:
        """Close the connection after what was asked; the next question opens another."""
        self._waiting.put(self._disconnect)

    def close(self) -> None:
        """Answer what was asked, then stop. Harmless when repeated."""
        self._waiting.put(self._end)
        self._thread.join()

    # On the reader's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended:
            match self._waiting.get():
                case (look, reply):
                    self._answer(look, reply)
                case order:
                    order()
        self._refuse_the_rest()

    def _answer(self, look: Callable[[apsw.Connection], T], reply: Reply[T]) -> None:
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.set_busy_timeout(_BUSY_MILLISECONDS)
            answer = look(self._connection)
        except apsw.Error as error:
            reply.fail(trouble(error).error)
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            reply.fail(error)
        else:
            reply.resolve(answer)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # the writer does that
            connection.close()

    def _end(self) -> None:
        self._ended = True
        self._disconnect()

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                left = self._waiting.get_nowait()
            except queue.Empty:
                return
            if isinstance(left, tuple):
                left[1].fail(EngineClosed("the engine is closed"))
