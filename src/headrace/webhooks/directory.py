"""Directory: the endpoints as this process has last seen them; looking costs a submit nothing."""

from __future__ import annotations

import threading

from headrace.clock import Clock
from headrace.engine import Engine, Entry
from headrace.reply import Reply
from headrace.webhooks import endpoints
from headrace.webhooks.endpoint import Endpoint

_LIMIT = 1000
_REFRESH_SECONDS = 2.0
_VALID_SECONDS = 5.0


class Directory:
    """Remembers for five seconds which endpoints there are.

    Args:
        clock: tells how old that is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._seen: tuple[Endpoint, ...] | None = None
        self._seen_at = self._asked_at = 0.0

    def look(self, engine: Engine) -> tuple[Endpoint, ...] | None:
        """Return the endpoints; None: it is not known now which there are.

        It never waits: what it does not know it asks for, and the next one will be told.
        """
        now = self._clock.monotonic()
        with self._lock:
            if engine is not self._engine:
                self._engine, self._seen = engine, None
                self._asked_at = now - _REFRESH_SECONDS
            due = now - self._asked_at >= _REFRESH_SECONDS
            if due:
                self._asked_at = now
        if due:
            reply = engine.scan(endpoints.PREFIX, limit=_LIMIT)
            reply.listen(lambda answered: self._answered(engine, now, answered))
        with self._lock:
            fresh = self._seen is not None and now - self._seen_at < _VALID_SECONDS
            return self._seen if fresh else None

    def _answered(self, engine: Engine, at: float, reply: Reply[tuple[Entry, ...]]) -> None:
        if reply.error is not None:
            return  # not known, then; the engine's other callers will hear of it
        entries = reply.wait()
        seen = tuple(map(endpoints.read, entries)) if len(entries) < _LIMIT else None
        with self._lock:
            if engine is self._engine:
                self._seen, self._seen_at = seen, at
