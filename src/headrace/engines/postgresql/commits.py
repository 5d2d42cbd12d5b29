"""Commits of others' transactions: noticed soon after, so that jobs in them need no poll.

A NOTIFY in such a transaction would be delivered by its commit, but commits with one take turns in
the whole server, and these are the users' own. So the engine asks the server, on a connection of
its own, what became of them: often at first, then ever more rarely, and at last no more. Polling
suffices.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from headrace.clock import SystemClock
from headrace.engine import Topic
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import Rows, do, texts
from headrace.errors import HeadraceError
from headrace.reply import Reply
from headrace.service import Service

_FIRST_PAUSE = 0.01
_LONGER = 1.5
_GIVE_UP_PAUSE = 10.0
_NOTHING_TO_DO = 3600.0


class _Open(msgspec.Struct):
    """A transaction that may still be committed."""

    topics: dict[Topic, None]
    next_look: float
    pause: float = _FIRST_PAUSE


class Commits:
    """Watches transactions until they have ended.

    Args:
        look: looks into the database.
        hint: told the topics of what was committed.
        fraction: gives random numbers below 1.
        deadline: seconds that a look may take.
    """

    def __init__(
        self,
        look: Callable[[Callable[[Link], Rows]], Reply[Rows]],
        hint: Callable[[Iterable[Topic]], None],
        fraction: Callable[[], float],
        deadline: float,
    ) -> None:
        self._look = look
        self._hint = hint
        self._deadline = deadline
        self._time = SystemClock().monotonic
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._service = Service("headrace-commits", self._tick, _NOTHING_TO_DO, fraction)

    def expect(self, transaction: str, topics: Iterable[Topic]) -> None:
        """Give hints about topics soon after a transaction is committed.

        Args:
            transaction: its number, as the server counts them.
            topics: what it has changed.
        """
        with self._lock:
            soon = self._time() + _FIRST_PAUSE
            known = self._open.setdefault(transaction, _Open({}, soon))
            known.topics.update(dict.fromkeys(topics))
            # Whoever submits once more may commit soon.
            known.next_look, known.pause = soon, _FIRST_PAUSE
        self._service.start()
        self._service.wake()

    def close(self) -> None:
        """Watch no more; harmless when repeated."""
        with self._lock:
            self._open.clear()
        self._service.stop()

    def _tick(self) -> float:
        now = self._time()
        with self._lock:
            numbers = list(self._open)
            due = any(one.next_look <= now for one in self._open.values())
        if due:
            self._learn(numbers, self._ended(numbers))
        with self._lock:
            looks = [one.next_look for one in self._open.values()]
        return max(0.0, min(looks) - self._time()) if looks else _NOTHING_TO_DO

    def _ended(self, numbers: list[str]) -> dict[str, Any]:
        try:
            statement = do("transactions_ended", texts(numbers))
            rows = self._look(lambda link: link.ask(statement)).wait(self._deadline)
        except HeadraceError:
            return {}  # the next look may see more
        return dict(rows)

    def _learn(self, numbers: list[str], ended: dict[str, Any]) -> None:
        topics: dict[Topic, None] = {}
        now = self._time()
        with self._lock:
            for number in numbers:
                one = self._open.get(number)
                if one is None:
                    continue
                if number in ended or one.pause > _GIVE_UP_PAUSE:
                    del self._open[number]
                    topics.update(one.topics if ended.get(number) == "committed" else {})
                else:
                    one.next_look = now + one.pause
                    one.pause *= _LONGER
        if topics:
            self._hint(topics)
