"""What one process holds while the engine is open: writers, a reader, transactions and hints.

There are three writers, each with a connection that it opens when it has something to write. Claims
need not be synced: a crash that takes one takes the lease with it. Jobs with a unique key may have
to wait for a rival's open transaction, and nothing else shall wait with them.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterable
from typing import TypeVar

from headrace.engine import Topic
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.commits import Commits
from headrace.engines.postgresql.hints import Hints
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.reader import Reader
from headrace.engines.postgresql.request import Request
from headrace.engines.postgresql.transaction import Transaction
from headrace.engines.postgresql.writer import Thinking, Writer
from headrace.errors import HeadraceError
from headrace.ids import Ids
from headrace.reply import Reply

T = TypeVar("T")


class Session:
    """Serves a database from `open()` to `close()`.

    Args:
        address: where the database is.
        hints: opened with the session, and closed with it.
        name: the session's own, not used by any other.
        thinking: what the writers need of the engine.
        poll: seconds between looks for jobs, behind the hints.
        deadline: seconds after which a call is answered with an error rather than not at all.
    """

    def __init__(
        self,
        address: Address,
        hints: Hints,
        *,
        name: str,
        thinking: Thinking,
        poll: float,
        deadline: float,
    ) -> None:
        self._pid = os.getpid()
        self._address = address
        self._hints = hints
        self._thinking = thinking
        self._answer_seconds = deadline
        self._queues: set[str] = set()
        self._transactions: weakref.WeakSet[Transaction] = weakref.WeakSet()

        def writer(what: str, *, synced: bool = True, lock_seconds: float = 5.0) -> Writer:
            return Writer(
                connect=lambda: self._connect(lock_seconds=lock_seconds),
                thinking=thinking,
                herald=hints.herald,
                poll=poll,
                ids=Ids(),
                synced=synced,
                name=f"headrace-{what}",
            )

        self._writer = writer("writer")
        self._claimer = writer("claimer", synced=False)
        self._patient = writer("patient", lock_seconds=deadline)
        self._reader = Reader(lambda: self._connect(narrow=False), deadline)
        self._commits = Commits(self._reader.look, hints.give, Ids().fraction, deadline)
        self._stop_watching = hints.watch("ready", self._claimer.look)
        hints.open(name)
        for one in (self._writer, self._claimer, self._patient, self._reader):
            one.start()
        self._at_exit = weakref.finalize(
            self, _end, (self._claimer, self._patient, self._writer, self._reader), os.getpid()
        )

    @property
    def inherited(self) -> bool:
        """Whether it is that of the process which forked this one."""
        return self._pid != os.getpid()

    def _connect(self, *, lock_seconds: float = 5.0, narrow: bool = True) -> Link:
        return Link(
            self._address,
            lock_seconds=lock_seconds,
            answer_seconds=self._answer_seconds,
            narrow=narrow,
        )

    def put(self, request: Request, *, waits: bool) -> None:
        """Hand over a request to be written.

        Args:
            request: what is to be written.
            waits: whether it may have to wait for others' open transactions.
        """
        if request.queues or request.patience:
            self._claimer.put(request)
        else:
            (self._patient if waits else self._writer).put(request)

    def begin(self, limit: float) -> Transaction:
        """Begin a transaction that may be open for `limit` seconds."""

        def connect() -> Link:
            return Link(
                self._address, lock_seconds=limit, answer_seconds=limit, idle_seconds=limit + 5.0
            )

        transaction = Transaction(
            connect,
            self._thinking.moment,
            limit,
            hint=self._hints.give,
            known=self._queues,
            deadline=self._answer_seconds,
        )
        self._transactions.add(transaction)
        return transaction

    def expect(self, transaction: str, topics: Iterable[Topic]) -> None:
        """Give hints when a transaction of somebody else's is committed."""
        self._commits.expect(transaction, topics)

    def look(self, look: Callable[[Link], T]) -> Reply[T]:
        """Look into the database on the reader's thread."""
        return self._reader.look(look)

    def close(self) -> None:
        """Write what was handed over, then let go of everything."""
        self._at_exit.detach()
        # All are told before one is waited for: some wait for others to end.
        for ending in [transaction.close() for transaction in list(self._transactions)]:
            with contextlib.suppress(HeadraceError):  # it came to an end of its own before
                ending.wait()
        self._commits.close()
        self._reader.close()
        self._stop_watching()
        for writer in (self._claimer, self._patient, self._writer):
            writer.close()
        self._hints.close()


def _end(parts: tuple[Writer | Reader, ...], pid: int) -> None:
    """Write what was handed over, at the end of a process that did not close its engine."""
    if pid == os.getpid():
        for part in parts:
            part.close()
