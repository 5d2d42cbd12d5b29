"""Keeps the rest of the process away from the database's files.

POSIX locks belong to the process, not to the descriptor: when anything else in the process opens
and closes the same file, SQLite's locks are gone and two processes may write at once
(https://sqlite.org/howtocorrupt.html §2.2). An audit hook refuses it with an explanation instead.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from headrace.errors import UsageError

_SUFFIXES = ("", "-wal", "-shm")
_EVENTS = frozenset({"open", "sqlite3.connect"})


class _Guard:
    """The audit hook. One a process: hooks cannot be removed, so this one can be emptied."""

    def __init__(self) -> None:
        self._guarded: Counter[str] = Counter()
        self._names: frozenset[str] = frozenset()
        self._installed = False

    def add(self, path: Path) -> None:
        if not self._installed:
            sys.addaudithook(self._hook)
            self._installed = True
        self._guarded.update(self._files(path))
        self._remember_names()

    def remove(self, path: Path) -> None:
        self._guarded.subtract(self._files(path))
        self._guarded = +self._guarded
        self._remember_names()

    def _remember_names(self) -> None:
        self._names = frozenset(Path(name).name for name in self._guarded)

    @staticmethod
    def _files(path: Path) -> list[str]:
        return [str(path) + suffix for suffix in _SUFFIXES]

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not self._names:
            return
        target = arguments[0]
        if isinstance(target, (str, bytes)) and self._guards(os.fsdecode(target)):
            raise UsageError(
                f"{target!r} is Headrace's open database: opening it here would drop its locks."
                " Use `ctx.transaction()` to write to it and `headrace backup FILE` to copy it"
            )

    def _guards(self, target: str) -> bool:
        # Nearly every file that is opened is another one: its name alone tells.
        name = os.path.basename(target).partition("?")[0]  # noqa: PTH119 - on every open()
        if name not in self._names:
            return False
        path = target.removeprefix("file:").partition("?")[0]
        return os.path.realpath(path) in self._guarded


_guard = _Guard()


def guard(path: Path) -> None:
    """Refuse, from now on, that anything but the engine opens the database's files."""
    _guard.add(path)


def unguard(path: Path) -> None:
    """Undo one `guard`."""
    _guard.remove(path)
