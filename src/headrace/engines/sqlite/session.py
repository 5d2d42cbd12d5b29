"""What one process holds while the engine is open: a writer, a reader, transactions and pipes."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import apsw

from headrace.engines.sqlite import forking
from headrace.engines.sqlite.ballast import Ballast
from headrace.engines.sqlite.database import Database, roll_back
from headrace.engines.sqlite.guard import guard, unguard
from headrace.engines.sqlite.hints import Hints
from headrace.engines.sqlite.plan import Plan, run
from headrace.engines.sqlite.reader import Reader
from headrace.engines.sqlite.transaction import Transaction
from headrace.engines.sqlite.writer import Writer
from headrace.errors import EngineClosed, HeadraceError, OutcomeUnknown
from headrace.message import Message
from headrace.reply import Reply
from headrace.write import Sent

T = TypeVar("T")


class Thinking(NamedTuple):
    """What the writer needs to know of queues.

    Attributes:
        join: makes one plan of the messages of many requests.
        waits: tells in how many seconds queues may have a job to claim.
    """

    join: Callable[[Sequence[Message]], Plan[Sent]]
    waits: Callable[[Sequence[str]], Plan[float]]


class Session:
    """Serves a database from `open()` to `close()`, in the process that opened it.

    Args:
        database: the file.
        ballast: the storage reserve.
        hints: opened with the session, and closed with it.
        name: the session's own, not used by any other.
        thinking: what the writer needs of the engine.
        poll: seconds between looks for jobs, behind the hints.
    """

    def __init__(
        self,
        database: Database,
        ballast: Ballast,
        hints: Hints,
        *,
        name: str,
        thinking: Thinking,
        poll: float,
    ) -> None:
        self._database = database
        self._hints = hints
        self._broken = False
        self._inherited = False
        self._reader = Reader(database.connect)
        self._turn = threading.Lock()
        self._transactions: weakref.WeakSet[Transaction] = weakref.WeakSet()
        self._listing = threading.Lock()
        self.writer = Writer(
            connect=database.connect,
            wal=database.wal,
            reserve=ballast,
            join=thinking.join,
            waits=lambda connection, queues: run(connection, thinking.waits(queues)),
            hint=hints.give,
            poll=poll,
        )
        guard(database.path)
        self._stop_watching = hints.watch("ready", self.writer.look)
        hints.open(name)
        forking.welcome(self)
        self.writer.start()
        self._reader.start()
        self._at_exit = weakref.finalize(self, _end, self.writer, self._reader, hints, os.getpid())

    @property
    def usable(self) -> bool:
        """Whether it can go on: not after a commit whose outcome is unknown."""
        return not self._broken and not self.writer.failed

    @property
    def inherited(self) -> bool:
        """Whether it is that of the process which forked this one."""
        return self._inherited

    def begin(self, limit: float) -> Transaction:
        """Begin a transaction that may hold the write lock for `limit` seconds.

        Raises:
            EngineClosed: the engine stopped after a failure.
        """
        if not self.usable:
            raise EngineClosed("the engine stopped after a failure: open it again")
        transaction = Transaction(
            self._database.connect, limit, self._turn, self._hints.give, self._stop_after
        )
        with self._listing:
            self._transactions.add(transaction)
        return transaction

    def read(self, plan: Callable[[], Plan[T]]) -> Reply[T]:
        """Run a plan that only reads, all of it on one state of the database."""
        return self.look(lambda connection: _snapshot(connection, plan()))

    def look(self, look: Callable[[apsw.Connection], T]) -> Reply[T]:
        """Look into the database on the reader's thread."""
        if not self.usable:
            return Reply.failed(EngineClosed("the engine stopped after a failure: open it again"))
        return self._reader.look(look)

    def close(self) -> None:
        """Write what was handed over, then let go of everything."""
        self._at_exit.detach()
        # All are told before one is waited for: some wait for others to end.
        for ending in [transaction.close() for transaction in self._begun()]:
            with contextlib.suppress(HeadraceError):  # it came to an end of its own before
                ending.wait()
        self._reader.close()
        self.writer.close()  # the last one: it writes the log into the file
        self._stop_watching()
        self._hints.close()
        forking.farewell(self)
        unguard(self._database.path)

    # Around a fork; see `forking.Resident` --------------------------------------------------------

    def leave(self) -> None:
        """Close all connections on which nothing is under way."""
        self.writer.leave()
        for transaction in self._begun():
            transaction.leave()
        self._reader.leave()

    def forget(self) -> None:
        """In the child: leave the parent what is the parent's."""
        self._inherited = True
        self._at_exit.detach()
        self._hints.forget()
        for transaction in list(self._transactions):
            transaction.forget()
        unguard(self._database.path)
        forking.farewell(self)

    # ----------------------------------------------------------------------------------------------

    def _begun(self) -> list[Transaction]:
        with self._listing:
            return list(self._transactions)

    def _stop_after(self, unknown: OutcomeUnknown) -> None:
        """Refuse further calls: whether a commit happened is not known."""
        self._broken = True
        self.writer.stop_after(unknown)


def _snapshot(connection: apsw.Connection, plan: Plan[T]) -> T:
    connection.execute("begin").fetchall()
    try:
        return run(connection, plan)
    finally:
        roll_back(connection)


def _end(writer: Writer, reader: Reader, hints: Hints, pid: int) -> None:
    """Write what was handed over, at the end of a process that did not close its engine."""
    if pid == os.getpid():
        reader.close()
        writer.close()
        hints.close()
