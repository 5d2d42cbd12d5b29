"""Wake-ups between processes: a named pipe for each process and topic, in a folder beside the file.

A hint says only "look": polling behind it suffices, so nothing is lost when a pipe is full, stale
or not to be had. A pipe whose process died has no reader, which the next writer sees and cleans up.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import stat
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from headrace.clock import SystemClock
from headrace.engine import Hint, Topic

_READ_SIZE = 4096
_LIST_SECONDS = 1.0
_MAKE_ATTEMPTS = 5
_LOOK = b"!"
_NEWS = b"?"  # pipes came or went

_log = logging.getLogger(__name__)


class Hints:
    """Gives hints to, and gets them from, every process that uses the same database.

    Watchers stay while it is closed, and are heard again when it is opened again.

    Args:
        folder: where the pipes are; made when somebody listens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._time = SystemClock().monotonic
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._name = ""
        self._watchers: dict[Topic, list[Hint]] = defaultdict(list)
        self._pipes: dict[int, Topic] = {}
        self._listener: threading.Thread | None = None
        self._listed: list[str] = []
        self._listed_at = -_LIST_SECONDS

    def open(self, name: str) -> None:
        """Begin to listen.

        Args:
            name: this process's own, not used by any other.
        """
        with self._lock:
            self._name = name
            for topic in [topic for topic, hints in self._watchers.items() if hints]:
                self._listen(topic)

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Call `hint()` for every hint about a topic until the returned function is called."""
        with self._lock:
            self._watchers[topic].append(hint)
            if self._name:
                self._listen(topic)

        def stop() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._watchers[topic].remove(hint)

        return stop

    def give(self, topics: Iterable[Topic]) -> None:
        """Hint to everybody, here and in other processes."""
        for topic in topics:
            self._call(topic)
            for pipe in self._pipes_of_others(topic):
                _write(pipe, _LOOK)

    def close(self) -> None:
        """Listen no more; harmless when repeated."""
        with self._lock:
            name, self._name = self._name, ""
            pipes, self._pipes = self._pipes, {}
            listener, self._listener = self._listener, None
        for topic in pipes.values():
            with contextlib.suppress(OSError):  # gone with its folder, say
                self._path(topic, name).unlink()
        if listener is not None:
            self._nudge(pipes)
            listener.join()
        for descriptor in pipes:
            os.close(descriptor)
        self._announce()
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # only if it is empty

    def forget(self) -> None:
        """In a forked child: leave the parent its pipes and its watchers."""
        for descriptor in self._pipes:
            os.close(descriptor)
        self._begin_anew()

    # Listening ------------------------------------------------------------------------------------

    def _listen(self, topic: Topic) -> None:
        if topic in self._pipes.values() or not hasattr(os, "mkfifo"):
            return  # without named pipes, polling does it
        descriptor = self._make_pipe(topic)
        if descriptor is None:
            return
        others, self._pipes = self._pipes, {**self._pipes, descriptor: topic}
        if self._listener is None:
            self._listener = threading.Thread(target=self._run, name="headrace-hints", daemon=True)
            self._listener.start()
        else:
            self._nudge(others)
        self._announce()

    def _announce(self) -> None:
        """Tell everybody that pipes came or went; which removes those that nobody reads."""
        for name in _names(self._folder):
            _write(self._folder / name, _NEWS)

    def _make_pipe(self, topic: Topic) -> int | None:
        for _ in range(_MAKE_ATTEMPTS):
            with contextlib.ExitStack() as undo:
                try:
                    descriptor = self._make_nameless(topic, undo)
                except FileNotFoundError:
                    continue  # others removed the folder while it was empty, or the pipe
                except OSError:
                    return None  # a folder we may not write to: polling does it
                undo.pop_all()
                return descriptor
        return None

    def _make_nameless(self, topic: Topic, undo: contextlib.ExitStack) -> int:
        # It gets its name when it has its reader: others remove a pipe that nobody reads.
        unnamed = self._path("new", f"{topic}.{self._name}")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(self._folder):
            raise PermissionError(f"{self._folder} is not this user's alone")
        os.mkfifo(unnamed, mode=0o600)
        undo.callback(unnamed.unlink, missing_ok=True)
        # Open for both: it never reports an end of file while there are no writers.
        descriptor = os.open(unnamed, os.O_RDWR | os.O_NONBLOCK)
        undo.callback(os.close, descriptor)
        unnamed.rename(self._path(topic, self._name))
        return descriptor

    @staticmethod
    def _nudge(pipes: Iterable[int]) -> None:
        """Wake our own listener, which looks at its pipes anew."""
        # A full pipe wakes it anyway.
        with contextlib.suppress(BlockingIOError):
            os.write(next(iter(pipes)), _NEWS)

    def _run(self) -> None:
        while pipes := self._pipes:
            poll = select.poll()
            for descriptor in pipes:
                poll.register(descriptor, select.POLLIN)
            ready = [descriptor for descriptor, _ in poll.poll()]
            for topic in [pipes[descriptor] for descriptor in ready if self._hears(descriptor)]:
                self._call(topic)

    def _hears(self, descriptor: int) -> bool:
        """Empty a pipe; return whether there was a hint in it."""
        try:
            text = os.read(descriptor, _READ_SIZE)
        except BlockingIOError:
            return False
        if _NEWS in text:
            self._listed_at = -_LIST_SECONDS
        return _LOOK in text

    def _call(self, topic: Topic) -> None:
        for hint in tuple(self._watchers.get(topic, ())):
            try:
                hint()
            except Exception:  # noqa: BLE001 - a watcher's fault must not stop the writer
                _log.exception("a watcher of %r failed", topic)

    # Hinting to others ----------------------------------------------------------------------------

    def _path(self, topic: str, name: str) -> Path:
        return self._folder / f"{topic}.{name}"

    def _pipes_of_others(self, topic: Topic) -> list[Path]:
        own = f"{topic}.{self._name}"
        prefix = f"{topic}."
        return [self._folder / n for n in self._listing() if n.startswith(prefix) and n != own]

    def _listing(self) -> list[str]:
        """Return the pipes' names; a busy writer looks once a second, or when it is told."""
        now = self._time()
        if now - self._listed_at > _LIST_SECONDS:
            self._listed_at = now
            self._listed = _names(self._folder)
        return self._listed


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder) if _is_ours(folder) else []  # noqa: PTH208 - names are all it takes
    except OSError:
        return []


def _is_ours(folder: Path) -> bool:
    """Return whether nobody else can put anything into a folder, such as a link to a file of ours.

    Where others may write, they may have made it before us.
    """
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    return private and found.st_uid == os.geteuid()


def _write(pipe: Path, text: bytes) -> None:
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads it: its process is gone
            with contextlib.suppress(OSError):  # a hint that fails is none, and no failed commit
                pipe.unlink(missing_ok=True)
        return
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.write(descriptor, text)
    except OSError:
        pass  # full: a hint waits there already; or the reader has just left
    finally:
        os.close(descriptor)
