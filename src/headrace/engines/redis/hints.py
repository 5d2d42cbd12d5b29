"""Wake-ups between processes: one channel, on which those who changed something say what it was.

A hint says only "look": polling behind it suffices, so nothing is lost when one is. Whoever watches
nothing keeps no connection for it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from redis.connection import Connection

from headrace.engine import Hint, Topic
from headrace.engines.redis.address import Address
from headrace.engines.redis.link import Call
from headrace.engines.redis.patience import Backoff
from headrace.ids import Ids

_SILENCE = 15.0
"""Seconds without a word after which a connection is asked whether it still stands."""

_log = logging.getLogger(__name__)


class Hints:
    """Gives hints to, and gets them from, every process that uses the same keys.

    Watchers stay while it is closed, and are heard again when it is opened again.

    Args:
        address: where the server is.
        ids: where our name and jitter come from.
    """

    def __init__(self, address: Address, ids: Ids) -> None:
        self._address = address
        self._ids = ids
        self._channel = f"{address.key}:hints"
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget watchers and connection: they are the parent's, in a forked child."""
        self._lock = threading.Lock()
        self._name = self._ids.nonce()
        self._watchers: dict[Topic, list[Hint]] = defaultdict(list)
        self._closing = threading.Event()
        self._opened = False
        self._listener: threading.Thread | None = None
        self._connection: Connection | None = None

    def open(self) -> None:
        """Begin to listen, if anybody watches."""
        with self._lock:
            self._opened = True
            self._closing = threading.Event()
            self._listen()

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Call `hint()` for every hint about a topic until the returned function is called."""
        with self._lock:
            self._watchers[topic].append(hint)
            self._listen()

        def stop() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._watchers[topic].remove(hint)

        return stop

    def publish(self, topics: Iterable[Topic]) -> Call:
        """Return the call that hints at topics to all other processes."""
        return ("PUBLISH", self._channel, " ".join([self._name, *topics]))

    def give(self, topics: Iterable[Topic]) -> None:
        """Hint at topics in this process."""
        for topic in topics:
            for hint in tuple(self._watchers.get(topic, ())):
                try:
                    hint()
                except Exception:  # noqa: BLE001 - a watcher's fault must not stop the writer
                    _log.exception("a watcher of %r failed", topic)

    def close(self) -> None:
        """Listen no more; harmless when repeated."""
        with self._lock:
            self._opened = False
            self._closing.set()
            listener, self._listener = self._listener, None
            connection = self._connection
        if connection is not None:
            connection.disconnect()
        if listener is not None and listener is not threading.current_thread():
            listener.join()

    # On the listener's thread ---------------------------------------------------------------------

    def _listen(self) -> None:
        watched = any(self._watchers.values())
        if self._opened and watched and self._listener is None:
            self._listener = threading.Thread(
                target=self._run, args=(self._closing,), name="headrace-hints", daemon=True
            )
            self._listener.start()

    def _run(self, closing: threading.Event) -> None:
        backoff = Backoff(self._ids)
        while not closing.is_set():
            try:
                self._hear(closing)
            except Exception as error:  # noqa: BLE001 - whatever it is, polling suffices meanwhile
                _log.debug("no hints for a moment: %s", error)
                closing.wait(backoff.take())
            else:
                backoff = Backoff(self._ids)

    def _hear(self, closing: threading.Event) -> None:
        pool = self._address.pool(_SILENCE)
        connection = pool.get_connection()
        with self._lock:
            self._connection = connection
        try:
            connection.send_command("SUBSCRIBE", self._channel)
            asked = False
            while not closing.is_set():
                if connection.can_read(_SILENCE):
                    asked = False
                    self._take(connection.read_response(disable_decoding=True))
                elif asked:
                    return
                else:
                    connection.send_command("PING", check_health=False)
                    asked = True
        finally:
            connection.disconnect()

    def _take(self, told: object) -> None:
        match told:
            case [b"subscribe", *_]:
                # Whatever was said before we listened, we have missed.
                self.give(("ready", "finished", "cancel", "stored"))
            case [b"message", _, bytes(text)]:
                sender, *topics = text.decode().split()
                if sender != self._name:
                    self.give(topics)  # type: ignore[arg-type] # those of others are ours
