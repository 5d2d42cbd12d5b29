"""What one process holds while the engine is open: a writer, a reader and what hears hints."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

from headrace.clock import Clock, SystemClock
from headrace.engines.redis.address import Address
from headrace.engines.redis.asking import pack
from headrace.engines.redis.hints import Hints
from headrace.engines.redis.link import Link
from headrace.engines.redis.reader import Asker, Reader
from headrace.engines.redis.writer import Wire, Writer
from headrace.ids import Ids
from headrace.reply import Reply

T = TypeVar("T")

_SILENCE = 5.0
"""Seconds without an answer after which a connection is taken for dead."""
_ATTEMPTS = 3
"""So often a call can be put to a server that says nothing before it is too late for it."""


class Session:
    """Serves from `open()` to `close()`, in the process that opened it.

    Args:
        address: where the server is.
        hints: opened with the session, and closed with it.
        clock: moves the time of the scripts in tests; the system's own stands for the server's.
        ids: where notes and jitter come from.
        poll: seconds between looks for jobs, behind the hints.
        patience: seconds that a call may take.
    """

    def __init__(
        self,
        address: Address,
        hints: Hints,
        *,
        clock: Clock,
        ids: Ids,
        poll: float,
        patience: float,
    ) -> None:
        self._clock = None if isinstance(clock, SystemClock) else clock
        self._hints = hints
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stop_looking: Callable[[], None] | None = None
        self.floor = 0
        wire = Wire(address.key, self.header, hints.publish, hints.give, address.wait_replicas)
        silence = min(_SILENCE, patience / _ATTEMPTS)
        self.writer = Writer(Link(address, silence), wire, ids, poll)
        asker = Asker(Link(address, silence), address.key, self.header)
        self._reader = Reader(asker, ids, patience)
        hints.open()
        self.writer.start()
        self._reader.start()
        self._at_exit = weakref.finalize(self, _end, self.writer, self._reader, hints, self._pid)

    @property
    def inherited(self) -> bool:
        """Whether it is that of the process which forked this one."""
        return self._pid != os.getpid()

    def header(self, note: str, run: str) -> bytes:
        """Return the first argument of a call; see `lua/unit.lua`."""
        if self._clock is None:
            return pack((False, False, note, run, self.floor))
        return pack((self._clock.now(), self._clock.monotonic(), note, run, self.floor))

    def listen(self) -> None:
        """Hear hints about jobs from now on: somebody waits for one."""
        with self._lock:
            if self._stop_looking is None:
                self._stop_looking = self._hints.watch("ready", self.writer.look)

    def look(self, look: Callable[[Asker], T]) -> Reply[T]:
        """Ask the server on the reader's thread."""
        return self._reader.look(look)

    def close(self) -> None:
        """Write what was handed over, then let go of everything."""
        self._at_exit.detach()
        self._reader.close()
        self.writer.close()
        if self._stop_looking is not None:
            self._stop_looking()
        self._hints.close()

    def forget(self) -> None:
        """In a forked child: leave the parent what is the parent's."""
        self._at_exit.detach()
        self._hints.begin_anew()


def _end(writer: Writer, reader: Reader, hints: Hints, pid: int) -> None:
    """Write what was handed over, at the end of a process that did not close its engine."""
    if pid == os.getpid():
        reader.close()
        writer.close()
        hints.close()
