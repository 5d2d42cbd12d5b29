"""Keeps the rest of the process away from the database's files.

POSIX locks belong to the process, not to the descriptor: when anything else in the process opens
and closes the same file, SQLite's locks are gone and two processes may write at once
(https://sqlite.org/howtocorrupt.html §2.2). An audit hook refuses it with an explanation instead.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.errors import UsageError

_EVENTS = frozenset({"open", "sqlite3.connect"})
_LOGS = ("-wal", "-shm")

_File = tuple[int, int]  # a file's device and inode, whatever it is called


class _Guard:
    """The audit hook. One a process: hooks cannot be removed, so this one can be emptied."""

    def __init__(self) -> None:
        self._guarded: Counter[tuple[str, _File | None]] = Counter()
        self._installed = False
        self._exempt = threading.local()
        self._begin_anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew)
        self._note()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def exempt(self) -> Iterator[None]:
        self._exempt.now = True
        try:
            yield
        finally:
            self._exempt.now = False

    def add(self, path: Path) -> None:
        if not self._installed:
            sys.addaudithook(self._hook)
            self._installed = True
        with self._lock:
            self._guarded[str(path), _identity(str(path))] += 1
            self._note()

    def remove(self, path: Path) -> None:
        with self._lock:
            # The file may have been moved away meanwhile.
            known = next((key for key in self._guarded if key[0] == str(path)), None)
            if known is not None:
                self._guarded -= Counter([known])
            self._note()

    def _note(self) -> None:
        self._files = frozenset(file for _, file in self._guarded if file is not None)
        self._logs = frozenset(path + suffix for path, _ in self._guarded for suffix in _LOGS)
        self._log_names = frozenset(Path(log).name for log in self._logs)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not self._guarded or getattr(self._exempt, "now", False):
            return
        target = arguments[0]
        if not isinstance(target, (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(target)
        if self._guards(path) or (event != "open" and self._guards(_path_of(path))):
            raise UsageError(
                f"{path!r} is Headrace's open database: opening it here would drop its locks."
                " Use `ctx.transaction()` to write to it and `headrace backup FILE` to copy it"
            )

    def _guards(self, path: str) -> bool:
        # Called on every open() of the process. The database may be opened by any name; its logs
        # come and go, but have one name only.
        if os.path.basename(path) in self._log_names:  # noqa: PTH119 - a Path costs ten times more
            return os.path.realpath(path) in self._logs
        return _identity(path) in self._files


def _identity(path: str) -> _File | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino)


def _path_of(uri: str) -> str:
    """Return the file that an SQLite URI names (https://sqlite.org/uri.html)."""
    try:
        return unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
    except ValueError:  # a host that is none: SQLite will say so
        return uri


_guard = _Guard()


def guard(path: Path) -> None:
    """Refuse, from now on, that anything but the engine opens the database's files."""
    _guard.add(path)


def unguard(path: Path) -> None:
    """Undo one `guard`."""
    _guard.remove(path)


def exempt() -> AbstractContextManager[None]:
    """Let this thread open them in a `with` block; for what takes no locks and drops none."""
    return _guard.exempt()
