"""Keeps `fork()` apart from open connections.

SQLite remembers which locks its process holds. A forked child inherits the memory but not the
locks: it would take its parent's for its own, and somebody else would write where it reads
(https://sqlite.org/howtocorrupt.html §2.6). So all connections are closed for the moment of a
fork, and parent and child connect anew at their next use.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol

import apsw

from headrace.errors import EngineError

# Longer than the longest transaction and the longest wait for another process's.
_PATIENCE = 30.0


class Resident(Protocol):
    """Somebody who keeps connections open."""

    def leave(self) -> None:
        """Close connections as soon as nothing is under way on them; return at once."""
        ...

    def forget(self) -> None:
        """Be done with what is the parent's; called in the child, where its threads are not."""
        ...


class _Gate:
    """Counts who is inside SQLite. One a process, as a fork is the whole process's."""

    def __init__(self) -> None:
        self._residents: weakref.WeakSet[Resident] = weakref.WeakSet()
        self._unfit = False
        self._kept: list[Resident] = []
        self._installed = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._forks = 0

    def enter(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forks)
            if self._unfit:
                raise EngineError(
                    "this process was forked while its database was in use, and must not use it:"
                    " fork when no transaction is open, or start processes with spawn"
                )
            self._inside += 1

    def exit(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def welcome(self, resident: Resident) -> None:
        with self._changed:
            self._residents.add(resident)
        if not self._installed and hasattr(os, "register_at_fork"):
            # Not earlier: the last one to come is called first, and others take locks (of logging,
            # say) that those need who are to leave.
            self._installed = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child
            )

    def farewell(self, resident: Resident) -> None:
        with self._changed:
            self._residents.discard(resident)

    def _before(self) -> None:
        with self._changed:
            self._forks += 1
            residents = list(self._residents)
        for resident in residents:
            resident.leave()
        with self._changed:
            self._changed.wait_for(lambda: not self._inside, _PATIENCE)

    def _in_parent(self) -> None:
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def _in_child(self) -> None:
        self._unfit = self._unfit or self._inside > 0
        self._begin_anew()
        residents = list(self._residents)
        if self._unfit:
            self._kept += residents  # freeing their connections would end what the parent does
        for resident in residents:
            resident.forget()


_gate = _Gate()


class Inside:
    """A stay inside SQLite, during which the process does not fork; a context manager."""

    def __enter__(self) -> None:
        _gate.enter()

    def __exit__(self, *_: object) -> None:
        _gate.exit()


class Connection(apsw.Connection):
    """A connection that no fork finds open. It has to be closed by whoever opened it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        _gate.enter()
        self._inside = True
        try:
            super().__init__(*arguments, **settings)
        except BaseException:
            self._go()
            raise

    def close(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - as apsw has it
        """Close it; harmless when repeated."""
        try:
            super().close(force)
        finally:
            self._go()

    def _go(self) -> None:
        if self._inside:
            self._inside = False
            _gate.exit()


class Lock:
    """A lock that a forked child finds free, whoever held it; a context manager."""

    def __init__(self) -> None:
        self.forget()
        _gate.welcome(self)

    def leave(self) -> None:
        """Nothing to close."""

    def forget(self) -> None:
        """Begin anew in a child: whoever holds it is not there."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def welcome(resident: Resident) -> None:
    """Ask somebody, from now on, to leave before each fork."""
    _gate.welcome(resident)


def farewell(resident: Resident) -> None:
    """Undo `welcome`."""
    _gate.farewell(resident)
