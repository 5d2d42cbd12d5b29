"""Inbox: what the main thread of a process waits for: signals, and words of other threads."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from headrace.signals import heeded

_LOOK_SECONDS = 0.5


class Inbox:
    """A queue of messages. It is safe to put one in from anywhere, even from a signal handler."""

    def __init__(self) -> None:
        self._messages: SimpleQueue[object] = SimpleQueue()

    def put(self, message: object) -> None:
        """Add a message."""
        self._messages.put(message)

    def get(self) -> object:
        """Wait for the next message and return it."""
        # Not for ever: a signal that comes just before a thread begins to block does not wake it,
        # and Python runs the handler only when the main thread is awake.
        while True:
            try:
                return self._messages.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue

    @contextmanager
    def signals(self, *numbers: signal.Signals) -> Iterator[None]:
        """Get these signals as messages for the length of a block, in the main thread."""
        # A handler runs between any two instructions of the main thread, whatever lock that holds:
        # all it may do is to put something into a queue that is made for this.
        with heeded(lambda number, _: self._messages.put(signal.Signals(number)), numbers):
            yield
