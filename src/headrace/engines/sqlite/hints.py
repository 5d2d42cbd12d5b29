"""Wake-ups between processes: a named pipe for each process and topic, in a folder beside the file.

A hint says only "look": polling behind it suffices, so nothing is lost when a pipe is full, stale
or not to be had. A pipe whose process died has no reader, which the next writer sees and cleans up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from headrace.clock import SystemClock
from headrace.engine import Hint, Topic

_READ_SIZE = 4096
_LIST_SECONDS = 0.1

_log = logging.getLogger(__name__)


class Hints:
    """Gives hints to, and gets them from, every process that uses the same database.

    Args:
        folder: where the pipes are; made when somebody listens.
        name: this process's own, not used by any other.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._lock = threading.Lock()
        self._watchers: dict[Topic, list[Hint]] = defaultdict(list)
        self._pipes: dict[int, Topic] = {}
        self._listener: threading.Thread | None = None
        self._closed = False
        self._time = SystemClock().monotonic
        self._listed: list[str] = []
        self._listed_at = -_LIST_SECONDS

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Call `hint()` for every hint about a topic until the returned function is called."""
        with self._lock:
            self._watchers[topic].append(hint)
            if topic not in self._pipes.values() and not self._closed:
                self._listen(topic)

        def stop() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._watchers[topic].remove(hint)

        return stop

    def give(self, topic: Topic) -> None:
        """Hint to everybody, here and in other processes."""
        self._call(topic)
        for pipe in self._pipes_of_others(topic):
            self._write(pipe)

    def close(self) -> None:
        """Listen no more; harmless when repeated."""
        with self._lock:
            self._closed = True
            listener, self._listener = self._listener, None
            pipes = dict(self._pipes)
        for topic in pipes.values():
            self._own(topic).unlink(missing_ok=True)
        if listener is not None:
            # Each pipe is open both ways, so we can wake our own listener; it closes them all.
            os.write(next(iter(pipes)), b"!")
            listener.join()
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # only if it is empty

    def _listen(self, topic: Topic) -> None:
        if not hasattr(os, "mkfifo"):
            return  # no named pipes on this system: polling does it
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            # Named when it has its reader: others remove a pipe that nobody reads.
            unnamed = self._folder / f"new.{topic}.{self._name}"
            os.mkfifo(unnamed, mode=0o600)
            # Open for both: the pipe never reports an end of file while there are no writers.
            descriptor = os.open(unnamed, os.O_RDWR | os.O_NONBLOCK)
            unnamed.rename(self._own(topic))
        except OSError:
            return  # a folder we may not write to: polling does it
        self._pipes[descriptor] = topic
        if self._listener is None:
            self._listener = threading.Thread(target=self._run, name="headrace-hints", daemon=True)
            self._listener.start()
        else:
            self._wake_listener(descriptor)

    def _wake_listener(self, new: int) -> None:
        for descriptor in self._pipes:
            if descriptor != new:
                os.write(descriptor, b"!")
                return

    def _run(self) -> None:
        while not self._closed:
            ready, _, _ = select.select(list(self._pipes), [], [])
            for descriptor in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(descriptor, _READ_SIZE)
            for topic in {self._pipes[descriptor] for descriptor in ready}:
                self._call(topic)
        for descriptor in self._pipes:
            os.close(descriptor)
        self._pipes.clear()

    def _call(self, topic: Topic) -> None:
        for hint in tuple(self._watchers[topic]):
            try:
                hint()
            except Exception:  # noqa: BLE001 - a watcher's fault must not stop the writer
                _log.exception("a watcher of %r failed", topic)

    def _own(self, topic: Topic) -> Path:
        return self._folder / f"{topic}.{self._name}"

    def _pipes_of_others(self, topic: Topic) -> list[Path]:
        own = f"{topic}.{self._name}"
        prefix = f"{topic}."
        return [self._folder / n for n in self._names() if n.startswith(prefix) and n != own]

    def _names(self) -> list[str]:
        """Return the pipes' names; a busy writer looks ten times a second, not at every commit."""
        now = self._time()
        if now - self._listed_at > _LIST_SECONDS:
            self._listed_at = now
            try:
                self._listed = os.listdir(self._folder)  # noqa: PTH208 - names are all it takes
            except OSError:
                self._listed = []
        return self._listed

    @staticmethod
    def _write(pipe: Path) -> None:
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            # Nobody reads it: its process is gone. (Or it is gone already.)
            with contextlib.suppress(OSError):
                pipe.unlink()
            return
        try:
            os.write(descriptor, b"!")
        except OSError:
            pass  # full: a hint waits there already; or the reader has just left
        finally:
            os.close(descriptor)
