"""A transaction that users' own writes, new jobs and a completion share."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apsw
import apsw.ext

from headrace.clock import SystemClock
from headrace.engine import Topic
from headrace.engines.sqlite.plan import Plan, run
from headrace.engines.sqlite.trouble import trouble
from headrace.errors import (
    EngineBusy,
    EngineClosed,
    OutcomeUnknown,
    TransactionTimeout,
    UsageError,
)
from headrace.reply import Reply

_BUSY_SECONDS = 20.0
_BACKOFF = 0.001
_PROGRESS_STEPS = 20_000

_OWN_PREFIX = "headrace_"
_NEVER = frozenset(
    {
        apsw.SQLITE_TRANSACTION,
        apsw.SQLITE_SAVEPOINT,
        apsw.SQLITE_ATTACH,
        apsw.SQLITE_DETACH,
        apsw.SQLITE_PRAGMA,
    }
)
_READS = frozenset(
    {apsw.SQLITE_READ, apsw.SQLITE_SELECT, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE}
)
_ROW_WRITES = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})
# Not the fault of a statement: the storage's, or that of one which takes too long.
_NO_FAULTS = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.BusyError,
    apsw.InterruptError,
)

_Work = Callable[[], Any]


class Transaction:
    """A transaction with a connection and a thread of its own.

    Its write lock is taken at the first write; reads before it see what is committed then. The
    thread ends the transaction when the lock has been held for too long, whatever the caller does
    meanwhile.

    Args:
        connect: opens a connection.
        limit: seconds for which the write lock may be held.
        turn: held by the one transaction of this process that has the write lock or asks for it.
        hint: told the topics of what was committed.
        broken: told of a commit whose outcome is unknown.
    """

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        limit: float,
        turn: threading.Lock,
        hint: Callable[[Iterable[Topic]], None],
        broken: Callable[[OutcomeUnknown], None],
    ) -> None:
        self._connect = connect
        self._limit = limit
        self._turn = turn
        self._has_turn = False
        self._hint = hint
        self._broken = broken
        self._time = SystemClock().monotonic
        self._work: queue.SimpleQueue[tuple[_Work, Reply[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: apsw.Connection | None = None
        self._deadline: float | None = None
        self._ended: Exception | None = None
        self._topics: dict[Topic, None] = {}
        self._ids: list[str] = []

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Reply[list[tuple[Any, ...]]]:
        """Run one statement of the user's own; see `headrace.engine.Tx`."""
        return self._hand_over(lambda: self._execute(sql, parameters))

    def run(
        self,
        plan: Callable[[], Plan[Any]],
        topics: Iterable[Topic] = (),
        ids: Iterable[str] = (),
    ) -> Reply[Any]:
        """Run a plan of the engine's as a part of this transaction."""
        return self._hand_over(lambda: self._plan(plan, topics, ids))

    def commit(self) -> Reply[None]:
        """Make everything durable."""
        return self._hand_over(self._commit)

    def rollback(self) -> Reply[None]:
        """Undo everything; harmless after the end."""
        return self._undo(UsageError("this transaction was rolled back"))

    def close(self) -> Reply[None]:
        """Undo everything, because the engine is closed."""
        return self._undo(EngineClosed("the engine was closed: the transaction was rolled back"))

    def leave(self) -> None:
        """Close the connection if nothing is under way on it; see `forking.Resident`."""
        if self._thread is not None and not self._over():
            self._hand_over(self._rest)

    def forget(self) -> None:
        """In a forked child, end: the parent goes on with it."""
        self._ended = self._ended or UsageError("a transaction does not cross a fork: begin anew")

    def _undo(self, why: Exception) -> Reply[None]:
        if self._thread is None or self._over():
            self._ended = self._ended or why
            return Reply.of(None)
        return self._hand_over(lambda: self._end(why))

    def _hand_over(self, work: _Work) -> Reply[Any]:
        if self._ended is not None:
            return Reply.failed(self._ended)
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="headrace-tx", daemon=True)
            self._thread.start()
        reply: Reply[Any] = Reply()
        self._work.put((work, reply))
        if self._over():
            self._refuse_the_rest()  # it ended meanwhile, and its thread may look no more
        return reply

    def _over(self) -> bool:
        return self._ended is not None

    # On the transaction's thread ------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._over():
            left = None if self._deadline is None else max(0.0, self._deadline - self._time())
            try:
                work, reply = self._work.get(timeout=left)
            except queue.Empty:
                self._end(self._too_late())
                break
            self._answer(work, reply)
        self._refuse_the_rest()

    def _answer(self, work: _Work, reply: Reply[Any]) -> None:
        try:
            if self._late():
                raise self._too_late()  # noqa: TRY301 - handled like what the work raises
            answer = work()
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            reply.fail(self._told(error))
        else:
            reply.resolve(answer)

    def _told(self, error: Exception) -> Exception:
        """Return the error for the caller; end the transaction unless it is as it was before."""
        if isinstance(error, _Fault):
            if not self._torn():
                return error.error
            error = error.error
        elif isinstance(error, apsw.InterruptError) and self._late():
            error = self._too_late()
        elif isinstance(error, apsw.Error):
            error = trouble(error).error
        self._end(error)
        return error

    def _late(self) -> bool:
        return self._deadline is not None and self._time() > self._deadline

    def _torn(self) -> bool:
        """Whether SQLite itself undid what was written so far, as ON CONFLICT ROLLBACK does."""
        connection = self._connection
        return self._deadline is not None and not (connection and connection.in_transaction)

    def _too_late(self) -> TransactionTimeout:
        return TransactionTimeout(
            f"the transaction held the write lock for over {self._limit} s and was rolled back: do"
            " slow work before its first write, raise transaction_limit, or, if a submit waited in"
            " it, give that one tx="
        )

    def _execute(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = self._open()
        with _authorized(connection):
            info = apsw.ext.query_info(connection, sql)
            if _says_something(connection, info.query_remaining):
                raise UsageError("one statement at a time: " + sql[:80])
        if not info.is_readonly:
            connection = self._lock()
        with _authorized(connection):
            return connection.execute(info.first_query, tuple(parameters)).fetchall()

    def _plan(
        self, plan: Callable[[], Plan[Any]], topics: Iterable[Topic], ids: Iterable[str]
    ) -> Any:
        answer = run(self._lock(), plan())
        self._topics.update(dict.fromkeys(topics))
        self._ids += ids
        return answer

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = self._connect()
            # Users may have tables with foreign keys; the engine's own have none.
            self._connection.execute("pragma foreign_keys = on").fetchall()
            # The writer does that; and not at all after a commit whose outcome is unknown.
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._connection.set_progress_handler(self._late, _PROGRESS_STEPS)
        return self._connection

    def _rest(self) -> None:
        connection = self._connection
        if connection is not None and not connection.in_transaction:
            self._connection = None
            connection.close()

    def _lock(self) -> apsw.Connection:
        """Return the connection, with the write lock from now on."""
        if self._connection is not None and self._connection.in_transaction:
            return self._connection
        give_up = self._time() + _BUSY_SECONDS
        self._take_turn()
        connection = self._open()
        pause = threading.Event()
        while True:
            try:
                connection.execute("begin immediate").fetchall()
            except apsw.BusyError:
                if self._time() > give_up:
                    raise _busy() from None
                pause.wait(_BACKOFF)
            else:
                self._deadline = self._time() + self._limit
                return connection

    def _take_turn(self) -> None:
        # A hundred that poll for the lock would leave no time to the one that has it. Those who
        # wait have no connection open, as the process could not fork meanwhile.
        if not self._turn.acquire(blocking=False):
            self._rest()
            if not self._turn.acquire(timeout=_BUSY_SECONDS):
                raise _busy()
        self._has_turn = True

    def _commit(self) -> None:
        connection = self._connection
        if connection is not None and connection.in_transaction:
            try:
                connection.execute("commit").fetchall()
            except apsw.FullError:
                raise
            except apsw.ConstraintError as error:
                raise UsageError(
                    f"a deferred constraint of your own tables is not met ({error}): everything was"
                    " rolled back"
                ) from error
            except apsw.Error as error:
                unknown = OutcomeUnknown(
                    f"the commit failed in a way that leaves open whether it happened ({error})",
                    self._ids,
                )
                self._broken(unknown)
                raise unknown from error
        self._end(UsageError("this transaction was committed"))
        if self._topics:
            self._hint(self._topics)

    def _end(self, why: Exception) -> None:
        """Undo what is not committed and let go of everything."""
        self._ended = why
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()  # which rolls back what is open
        finally:
            if self._has_turn:
                self._has_turn = False
                self._turn.release()

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                _, reply = self._work.get_nowait()
            except queue.Empty:
                return
            reply.fail(self._ended or UsageError("this transaction has ended"))


def _busy() -> EngineBusy:
    return EngineBusy("the write lock was not to be had: nothing was written")


class _Fault(Exception):
    """Carries the error of a statement of the user's own, after which the others stand."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def _authorized(connection: apsw.Connection) -> Iterator[None]:
    """Let SQLite ask about what is prepared, and blame the user's statement for what fails."""
    connection.authorizer = _allow
    try:
        yield
    except apsw.AuthError as error:
        raise _Fault(
            UsageError(
                "a transaction's statements may not touch Headrace's own tables, pragmas or the"
                " transaction itself"
            )
        ) from error
    except _NO_FAULTS:
        raise
    except Exception as error:
        raise _Fault(error) from error
    finally:
        connection.authorizer = None


def _says_something(connection: apsw.Connection, rest: str | None) -> bool:
    """Return whether what follows a statement is more than a comment."""
    return bool(rest and apsw.ext.query_info(connection, rest, actions=True).actions)


def _allow(
    operation: int, first: str | None, second: str | None, _database: str | None, _by: str | None
) -> int:
    """SQLite's question before it prepares a statement of the user's."""
    if operation in _NEVER:
        return apsw.SQLITE_DENY
    if operation in _READS:
        return apsw.SQLITE_OK
    # The second name is a table's, too, or else a column's.
    names = (first,) if operation in _ROW_WRITES else (first, second)
    ours = any(name and name.lower().startswith(_OWN_PREFIX) for name in names)
    return apsw.SQLITE_DENY if ours else apsw.SQLITE_OK
