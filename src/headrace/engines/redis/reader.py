"""The one reader of a process: it asks the server on a thread and a connection of its own.

So no read waits behind the commits of this process, and nobody's event loop waits for a read.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from headrace.clock import SystemClock
from headrace.engines.redis.link import Away, Call, Link
from headrace.engines.redis.patience import Backoff
from headrace.engines.redis.scripts import Script
from headrace.engines.redis.trouble import trouble
from headrace.errors import EngineBusy, EngineClosed
from headrace.ids import Ids
from headrace.reply import Reply

T = TypeVar("T")


class Asker:
    """Puts questions to the server, one at a time.

    Args:
        link: the connection.
        key: what all keys begin with.
        header: makes the first argument of a call.
    """

    def __init__(self, link: Link, key: str, header: Callable[[str, str], bytes]) -> None:
        self._link = link
        self._key = key
        self._header = header

    def run(self, script: Script, body: bytes) -> Any:
        """Return what a script answers.

        Raises:
            Away: the server did not answer.
            HeadraceError: it refused.
        """
        self._link.connect()
        header = self._header("", self._link.run)
        return self.call(("EVALSHA", script.sha, 1, self._key, header, body))

    def call(self, call: Call) -> Any:
        """Return what a command answers; the errors are the same."""
        (answer,) = self._link.ask([call])
        if isinstance(answer, ResponseError):
            told = trouble(answer)
            raise Away(str(told.error), sent=False) if told.passing else told.error
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        self._link.close()


Look = Callable[[Asker], Any]
_Question = tuple[Look, Reply[Any], float]


class Reader:
    """Answers questions, one after another; asks again when the connection broke.

    Args:
        asker: puts them to the server.
        ids: where jitter comes from.
        patience: seconds that a question may take.
    """

    def __init__(self, asker: Asker, ids: Ids, patience: float) -> None:
        self._asker = asker
        self._ids = ids
        self._patience = patience
        self._time = SystemClock().monotonic
        self._waiting: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._ended = False
        self._thread = Thread(target=self._run, name="headrace-reader", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def look(self, look: Callable[[Asker], T]) -> Reply[T]:
        """Return what `look(asker)` returns."""
        reply: Reply[T] = Reply()
        self._waiting.put((look, reply, self._time() + self._patience))
        if self._ended:
            self._refuse_the_rest()  # its thread may look no more
        return reply

    def close(self) -> None:
        """Answer what was asked, then stop. Harmless when repeated."""
        self._waiting.put(None)
        self._thread.join()

    # On the reader's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while (question := self._waiting.get()) is not None:
            self._answer(*question)
        self._ended = True
        self._asker.close()
        self._refuse_the_rest()

    def _answer(self, look: Look, reply: Reply[Any], until: float) -> None:
        backoff = Backoff(self._ids)
        while True:
            try:
                reply.resolve(look(self._asker))
            except Away as away:
                self._asker.close()
                if self._time() < until:
                    backoff.pause()
                    continue
                reply.fail(EngineBusy(f"Redis was away for too long; try again ({away})"))
            except Exception as error:  # noqa: BLE001 - it is told to the caller
                reply.fail(error)
            return

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                left = self._waiting.get_nowait()
            except queue.Empty:
                return
            if left is not None:
                left[1].fail(EngineClosed("the engine is closed"))
