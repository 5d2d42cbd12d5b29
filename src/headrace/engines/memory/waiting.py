"""Leases that wait for a first job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from headrace.clock import Clock
from headrace.errors import EngineClosed
from headrace.reply import Reply
from headrace.write import Lease

Claim = Callable[[], tuple[Lease, ...]]
Served = list[tuple[Reply[tuple[Lease, ...]], tuple[Lease, ...] | None, Exception | None]]

_LOOK_EVERY = 0.02
"""Real seconds: moments come without a commit, and a clock moved by hand wakes nobody."""


class _Waiter(NamedTuple):
    reply: Reply[tuple[Lease, ...]]
    claim: Claim
    until: float


class Waiting:
    """The waiting leases, first come, first served.

    A commit serves them at once. A thread, which lives as long as somebody waits, looks after them
    when time alone has made a job ready, or has run out.

    Args:
        lock: the engine's; held by whoever calls.
        clock: what says how long they have waited.
        look: lets time pass for the engine, and serves; takes the lock itself.
    """

    def __init__(self, lock: threading.Lock, clock: Clock, look: Callable[[], object]) -> None:
        self._changed = threading.Condition(lock)
        self._clock = clock
        self._look = look
        self._waiters: list[_Waiter] = []
        self._thread: threading.Thread | None = None

    def add(self, claim: Claim, seconds: float) -> Reply[tuple[Lease, ...]]:
        """Let a lease wait for some seconds at most; `claim` tries, with the lock held."""
        waiter = _Waiter(Reply(), claim, self._clock.monotonic() + seconds)
        self._waiters.append(waiter)
        if self._thread is None:
            name = "headrace-memory-waiting"
            self._thread = threading.Thread(target=self._watch, name=name, daemon=True)
            self._thread.start()
        return waiter.reply

    def serve(self) -> Served:
        """Claim for those who wait; what is returned is to be resolved without the lock."""
        now = self._clock.monotonic()
        served: Served = []
        still: list[_Waiter] = []
        for waiter in self._waiters:
            if waiter.reply.done:  # whoever waited has given up
                continue
            leases = waiter.claim()
            if leases or waiter.until <= now:
                served.append((waiter.reply, leases, None))
            else:
                still.append(waiter)
        self._waiters = still
        return served

    def dismiss(self) -> Served:
        """Send everybody away, because the engine closes."""
        waiters, self._waiters = self._waiters, []
        self._changed.notify_all()
        error = EngineClosed("the engine was closed while this lease waited for a job")
        return [(waiter.reply, None, error) for waiter in waiters]

    def _watch(self) -> None:
        while True:
            with self._changed:
                if not self._waiters:
                    self._thread = None
                    return
                self._changed.wait(_LOOK_EVERY)
            self._look()
