"""Wake-ups: within the process by calling, between processes by NOTIFY.

A hint says only "look": polling behind it suffices. So nothing is lost when a pooler drops LISTEN,
or the connection is down for a while. A NOTIFY is never a part of a transaction that writes, as
those would have to commit one after another; it follows the commit, and many within a short time
are one. The first goes out in the round trip of the commit, others on the hints' own connection.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple, get_args

import psycopg

from headrace.clock import SystemClock
from headrace.engine import Hint, Topic
from headrace.engines.postgresql.link import Link

_TOPICS: tuple[Topic, ...] = get_args(Topic)
_APART = 0.005
_ASIDE = 1.0
_ASIDE_LONGEST = 30.0

_log = logging.getLogger(__name__)


class Herald(NamedTuple):
    """How a writer tells others of its commits.

    Attributes:
        give: hints to everybody.
        call: hints to those in this process only.
        news: returns the statement that hints to other processes, to be run right after a commit;
            or "" when too many are sent already, and it is left to `give`.
    """

    give: Callable[[Iterable[Topic]], None]
    call: Callable[[Iterable[Topic]], None]
    news: Callable[[Iterable[Topic]], str]


class Hints:
    """Gives hints to, and gets them from, every process that uses the same schema.

    Watchers stay while it is closed, and are heard again when it is opened again.

    Args:
        connect: opens a connection; called on the thread of the hints.
        channel: what all processes listen on.
        fraction: gives random numbers below 1.
    """

    def __init__(
        self, connect: Callable[[], Link], channel: str, fraction: Callable[[], float]
    ) -> None:
        self._connect = connect
        self._channel = channel
        self._fraction = fraction
        self._time = SystemClock().monotonic
        self._lock = threading.Lock()
        self._watchers: dict[Topic, list[Hint]] = defaultdict(list)
        self._name = ""
        self._due: dict[Topic, None] = {}
        self._sent_at = -_APART
        self._bell = (-1, -1)
        self._thread: threading.Thread | None = None

    def open(self, name: str) -> None:
        """Begin to listen.

        Args:
            name: this process's own, not used by any other.
        """
        self._name = name
        self._bell = os.pipe()
        os.set_blocking(self._bell[1], False)
        self._thread = threading.Thread(target=self._run, name="headrace-hints", daemon=True)
        self._thread.start()

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Call `hint()` for every hint about a topic until the returned function is called."""
        with self._lock:
            self._watchers[topic].append(hint)

        def stop() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._watchers[topic].remove(hint)

        return stop

    def give(self, topics: Iterable[Topic]) -> None:
        """Hint to everybody, here at once and in other processes soon."""
        topics = tuple(topics)
        with self._lock:
            new = [topic for topic in topics if topic not in self._due]
            self._due.update(dict.fromkeys(new))
            if new:
                self._ring()
        self._call_all(topics)

    @property
    def herald(self) -> Herald:
        """What a writer is given."""
        return Herald(self.give, self._call_all, self._news)

    def _news(self, topics: Iterable[Topic]) -> str:
        with self._lock:
            now = self._time()
            if not self._name or self._due or now < self._sent_at + _APART:
                return ""
            self._sent_at = now
        # Words of our own, which need no quotes.
        return f"select pg_notify('{self._channel}', '{self._name} {','.join(topics)}')"

    def _call_all(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            self._call(topic)

    def close(self) -> None:
        """Listen no more; harmless when repeated."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._lock:
            self._name = ""
            self._ring()
        thread.join()
        with self._lock:
            bell, self._bell = self._bell, (-1, -1)
        for end in bell:
            os.close(end)

    def _ring(self) -> None:
        if self._bell[1] >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._bell[1], b"!")

    def _call(self, topic: Topic) -> None:
        for hint in tuple(self._watchers.get(topic, ())):
            try:
                hint()
            except Exception:  # noqa: BLE001 - a watcher's fault must not stop the writer
                _log.exception("a watcher of %r failed", topic)

    # On the thread of the hints -------------------------------------------------------------------

    def _run(self) -> None:
        aside = _ASIDE
        while self._name:
            try:
                link = self._connect()
            except psycopg.Error:
                pass
            else:
                if aside != _ASIDE:
                    self._catch_up()
                aside = _ASIDE
                try:
                    self._serve(link)
                except psycopg.Error as error:
                    _log.info("hints from other processes are gone for a while: %s", error)
                finally:
                    link.close()
            if self._name:
                self._pause(aside * (0.5 + self._fraction()))
                aside = min(_ASIDE_LONGEST, aside * 2)

    def _catch_up(self) -> None:
        """Give all the hints that may have been given while nobody listened."""
        for topic in _TOPICS:
            self._call(topic)

    def _serve(self, link: Link) -> None:
        if link.direct:  # else a pooler would give what listens to somebody else
            link.say(f'listen "{self._channel}"')
        while self._name:
            wait = max(0.0, self._sent_at + _APART - self._time()) if self._due else None
            self._listen(link, wait)
            if self._due and self._time() >= self._sent_at + _APART:
                self._send(link)
                self._sent_at = self._time()

    def _listen(self, link: Link, wait: float | None) -> None:
        """Wait for news from the server or from ourselves, and pass on what there is."""
        ready, _, _ = select.select([link.raw.fileno(), self._bell[0]], [], [], wait)
        if self._bell[0] in ready:
            os.read(self._bell[0], 4096)
        if link.raw.fileno() in ready:
            self._hear(link)

    def _hear(self, link: Link) -> None:
        heard: dict[Topic, None] = {}
        for news in link.raw.notifies(timeout=0):
            name, _, topics = news.payload.partition(" ")
            if name != self._name:
                heard.update({t: None for t in _TOPICS if t in topics.split(",")})
        for topic in heard:
            self._call(topic)

    def _send(self, link: Link) -> None:
        with self._lock:
            due, self._due = self._due, {}
        payload = f"{self._name} {','.join(due)}"
        link.ask(("select pg_notify($1::text, $2::text)", (self._channel, payload)))
        self._hear(link)  # what came with the answer

    def _pause(self, seconds: float) -> None:
        """Wait, but not for a close."""
        until = self._time() + seconds
        while self._name and (left := until - self._time()) > 0:
            ready, _, _ = select.select([self._bell[0]], [], [], left)
            if ready:
                os.read(self._bell[0], 4096)
