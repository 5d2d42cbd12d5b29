"""A transaction that users' own writes, new jobs and a completion share."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg

from headrace.clock import SystemClock
from headrace.engine import Topic
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import Moment, NewQueues, Plan, do, make_queues, run
from headrace.engines.postgresql.trouble import Kind, first_line, kind_of, told
from headrace.errors import (
    EngineBusy,
    EngineClosed,
    OutcomeUnknown,
    TransactionTimeout,
    UsageError,
)
from headrace.ids import Ids
from headrace.reply import Reply

_CONTROL = frozenset(
    {"abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start"}
)

_BACKOFF_FIRST = 0.05
_BACKOFF_LAST = 1.0

_Work = Callable[[], Any]


class Transaction:
    """A transaction with a connection and a thread of its own.

    The thread ends the transaction when it has been open for too long, whatever the caller does
    meanwhile: what it has locked, others wait for.

    Args:
        connect: opens a connection.
        moment: makes what plans go by of the server's seconds.
        limit: seconds for which it may be open.
        hint: told the topics of what was committed.
        known: names of queues that are there, shared with other transactions.
        deadline: seconds for which a server that is away is asked what became of the commit.
    """

    def __init__(
        self,
        connect: Callable[[], Link],
        moment: Callable[[float], Moment],
        limit: float,
        *,
        hint: Callable[[Iterable[Topic]], None],
        known: set[str],
        deadline: float,
    ) -> None:
        self._connect = connect
        self._moment = moment
        self._limit = limit
        self._hint = hint
        self._known = known
        self._patience = deadline
        self._receipt = f"{Ids().nonce()}{Ids().nonce()}"
        self._time = SystemClock().monotonic
        self._work: queue.SimpleQueue[tuple[_Work, Reply[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._link: Link | None = None
        self._began = 0.0
        self._deadline: float | None = None
        self._ended: Exception | None = None
        self._topics: dict[Topic, None] = {}
        self._ids: list[str] = []

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Reply[list[tuple[Any, ...]]]:
        """Run one statement of the user's own, with `$1`, `$2`, … for its parameters.

        After one that fails, the others stand. See `headrace.engine.Tx`.
        """
        return self._hand_over(lambda: self._execute(sql, parameters))

    def run(
        self,
        plan: Callable[[Moment], Plan[Any]],
        topics: Iterable[Topic] = (),
        ids: Iterable[str] = (),
        queues: Iterable[str] = (),
    ) -> Reply[Any]:
        """Run a plan of the engine's as a part of this transaction.

        Args:
            plan: makes the plan.
            topics: what to hint at after the commit.
            ids: the jobs it is about, for `OutcomeUnknown`.
            queues: those that it must find.
        """
        return self._hand_over(lambda: self._plan(plan, topics, ids, queues))

    def _make(self, names: Sequence[str]) -> None:
        """Make queues in a transaction of their own, which does not last as long as this one."""
        link = self._connect()
        try:
            moment = self._moment(link.begin(synced=False))
            run(link.ask, make_queues(names, moment))
            link.commit()
        finally:
            link.close()

    def commit(self) -> Reply[None]:
        """Make everything durable."""
        return self._hand_over(self._commit)

    def rollback(self) -> Reply[None]:
        """Undo everything; harmless after the end."""
        return self._undo(UsageError("this transaction was rolled back"))

    def close(self) -> Reply[None]:
        """Undo everything, because the engine is closed."""
        return self._undo(EngineClosed("the engine was closed: the transaction was rolled back"))

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
        except _Fault as fault:
            reply.fail(fault.error)
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            why = self._too_late() if self._late() else told(error)
            self._end(why)
            reply.fail(why)
        else:
            reply.resolve(answer)

    def _late(self) -> bool:
        return self._deadline is not None and self._time() > self._deadline

    def _too_late(self) -> TransactionTimeout:
        return TransactionTimeout(
            f"the transaction was open for over {self._limit} s and was rolled back: do slow work"
            " before or after it, or raise transaction_limit"
        )

    def _execute(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if _first_word(sql) in _CONTROL:
            raise _Fault(UsageError("a transaction's statements may not end or divide it"))
        link = self._open()
        link.say("savepoint statement")
        try:
            # Asked for in binary: such a request holds one statement only.
            cursor = link.raw.execute(sql, tuple(parameters), binary=True)
            rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            if link.broken or self._late() or kind_of(error, lost=False) is not Kind.REFUSED:
                raise
            link.say("rollback to savepoint statement; release savepoint statement")
            raise _Fault(_blamed(error)) from error
        link.say("release savepoint statement")
        return rows

    def _plan(
        self,
        plan: Callable[[Moment], Plan[Any]],
        topics: Iterable[Topic],
        ids: Iterable[str],
        queues: Iterable[str],
    ) -> Any:
        link = self._open()
        new = [name for name in queues if name not in self._known]
        if new:
            self._make(new)
            self._known.update(new)
        try:
            answer = run(link.ask, plan(self._moment(self._began)))
        except NewQueues as gone:
            self._known.clear()
            raise EngineBusy(
                f"queue {gone} was removed meanwhile: everything was rolled back; try again"
            ) from None
        self._topics.update(dict.fromkeys(topics))
        self._ids += ids
        return answer

    def _open(self) -> Link:
        if self._link is None:
            self._link = self._connect()
            self._began = self._link.begin(receipt=self._receipt)
            self._deadline = self._time() + self._limit
        return self._link

    def _commit(self) -> None:
        if self._link is not None:
            try:
                self._link.say("commit")
            except psycopg.errors.IntegrityError as error:
                raise UsageError(
                    f"a deferred constraint of your own tables is not met ({first_line(error)}):"
                    " everything was rolled back"
                ) from error
            except psycopg.Error as error:
                if kind_of(error, lost=self._link.broken) is not Kind.AWAY:
                    raise
                self._deadline = None  # it is no longer open, or not by us
                self._find_out(error)
        self._end(UsageError("this transaction was committed"))
        if self._topics:
            self._hint(self._topics)

    def _find_out(self, error: psycopg.Error) -> None:
        """Find out whether a commit happened during which the connection was lost.

        Whoever inserts the receipt anew keeps it from ever happening, if it has not.

        Raises:
            EngineBusy: it did not.
            OutcomeUnknown: the server did not come back in time.
        """
        until, pause = self._time() + self._patience, _BACKOFF_FIRST
        while self._time() < until:
            try:
                link = self._connect()
                try:
                    missing = link.ask(do("receipt_claim", self._receipt))
                finally:
                    link.close()
            except psycopg.Error:
                threading.Event().wait(pause)
                pause = min(_BACKOFF_LAST, pause * 2)
            else:
                if missing:
                    raise EngineBusy(
                        f"the connection was lost before the commit ({first_line(error)}): nothing"
                        " was written; try again"
                    )
                return
        raise OutcomeUnknown(
            "the connection was lost during the commit, and the server did not come back in time to"
            f" tell whether it happened ({first_line(error)})",
            self._ids,
        )

    def _end(self, why: Exception) -> None:
        """Undo what is not committed and let go of everything."""
        self._ended = why
        link, self._link = self._link, None
        if link is not None:
            link.rollback()
            link.close()

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                _, reply = self._work.get_nowait()
            except queue.Empty:
                return
            reply.fail(self._ended or UsageError("this transaction has ended"))


class _Fault(Exception):
    """Carries the error of a statement of the user's own, after which the others stand."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _blamed(error: psycopg.Error) -> Exception:
    """Return what a failed statement of the user's own is told: his database's own words."""
    if isinstance(error, psycopg.errors.SyntaxError):
        return UsageError(f"one statement at a time, in PostgreSQL's SQL: {first_line(error)}")
    return error


def _first_word(sql: str) -> str:
    words = sql.split(maxsplit=1)
    return words[0].rstrip(";").lower() if words else ""
