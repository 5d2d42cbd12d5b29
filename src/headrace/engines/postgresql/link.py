"""A connection, and what the engine says on it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import RawCursor
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.plan import Rows, Statement

RV = TypeVar("RV")

_SCHEMA_PREFIX = "headrace."
_PREPARE_AFTER = 2
_ANSWER_SECONDS = 30.0
_GRACE_SECONDS = 1.0
_IDLE_SECONDS = 10.0
_NOW = "extract(epoch from clock_timestamp())::float8"

# Tables through which jobs pass are empty when they are analyzed, or were: no statistics tell what
# is best. Few rows of many are wanted always, and an index leads to each of them. So no statement
# may join two of its own parts: it would compare each with each. And none may join such a table by
# an equals sign at the first column of an index, but by `= any (array[...])`: with the former, a
# table that is thought to be empty may also be read from end to end, in the order of the index, and
# what a held snapshot keeps there is far more than what is wanted.
_PLANNING = (
    "enable_seqscan = off",
    "enable_indexonlyscan = off",
    "enable_bitmapscan = off",
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "jit = off",
)

# A guess of the server's time is made from what it said last, so it is a little late, by the way
# that took; and never early, unless somebody has set the clock.
_LATE_SECONDS = 0.05
_EARLY_SECONDS = 0.001

_Row = tuple[Any, ...]


class Misguessed(Exception):
    """A transaction was begun by a guess of the server's time that was wrong: repeat it."""


class _Opening(NamedTuple):
    """What a transaction begins with, and the time that was guessed."""

    statements: Sequence[Statement]
    guess: float


class _Connection(psycopg.Connection[_Row]):
    """A connection on which no answer is awaited for ever."""

    answer_seconds = _ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        limit = self.answer_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - the only name it has
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server said nothing for {limit:.0f} s: the connection was given up"
            ) from None


class Link:
    """A connection to the database, in autocommit, on which transactions are begun and ended.

    Nothing depends on the session, so that a pooler may give each transaction another one. Only
    where the server itself is at the other end are statements prepared and settings made once.

    Args:
        address: where the database is.
        lock_seconds: how long a statement may wait for what a rival has locked.
        answer_seconds: how long a statement may take; a little later the connection is given up.
        idle_seconds: how long a transaction may be open with nothing to do.
        narrow: whether its statements want few rows of many, always by an index.

    Attributes:
        began: when the last transaction began, in seconds since 1970 UTC by the server's clock.
    """

    def __init__(
        self,
        address: Address,
        *,
        lock_seconds: float = 5.0,
        answer_seconds: float = _ANSWER_SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
        narrow: bool = True,
    ) -> None:
        self._schema = f'"{address.schema}".'
        self._connection = _Connection.connect(
            address.conninfo, autocommit=True, cursor_factory=RawCursor, prepare_threshold=None
        )
        self._connection.answer_seconds = answer_seconds + _GRACE_SECONDS
        self._texts: dict[str, str] = {}
        settings = (
            *(_PLANNING if narrow else ()),
            f"lock_timeout = {lock_seconds * 1000:.0f}",
            f"statement_timeout = {answer_seconds * 1000:.0f}",
            f"idle_in_transaction_session_timeout = {idle_seconds * 1000:.0f}",
        )
        self._settings: tuple[str, ...] = ()
        self._opening: _Opening | None = None
        self.began = 0.0
        self._leave_receipt = f"insert into {self._schema}receipt (nonce, written_at) values"
        try:
            self._settle_in(settings)
        except BaseException:
            self.close()
            raise

    def _settle_in(self, settings: Sequence[str]) -> None:
        ((pid, self.synchronous_commit),) = self.say(
            "select pg_backend_pid(), current_setting('synchronous_commit')"
        )
        self.direct = pid == self._connection.pgconn.backend_pid
        if self.direct:
            self.say("; ".join(f"set {setting}" for setting in settings))
            self._connection.prepare_threshold = _PREPARE_AFTER
        else:
            self._settings = tuple(f"set local {setting}" for setting in settings)

    def answer_within(self, seconds: float) -> None:
        """Give the connection up, from now on, when an answer takes longer than this."""
        self._connection.answer_seconds = seconds

    @property
    def broken(self) -> bool:
        """Whether it is lost."""
        return self._connection.closed

    @property
    def idle(self) -> bool:
        """Whether no transaction is open on it."""
        return self._connection.info.transaction_status == TransactionStatus.IDLE

    @property
    def opens(self) -> bool:
        """Whether the next statement begins a transaction, too."""
        return self._opening is not None

    @property
    def raw(self) -> psycopg.Connection[_Row]:
        """The driver's connection."""
        return self._connection

    def begin(self, *, synced: bool = True, receipt: str = "", mode: str = "") -> float:
        """Begin a transaction, with all that goes before its first statement in one round trip.

        Args:
            synced: whether its commit is on the disk before it is answered.
            receipt: a UUID that proves, once it is there, that the transaction was committed.
            mode: an isolation level, say.

        Returns:
            Seconds since 1970 UTC by the server's clock.
        """
        text = [f"begin {mode}", *self._settings, *self._syncing(synced=synced)]
        if receipt:
            text.append(f"{self._leave_receipt} ('{receipt}', {_NOW})")
        text.append(f"select {_NOW}")
        # Not by way of `say`, which would remember every receipt.
        cursor = self._connection.execute("; ".join(text))
        while cursor.nextset():
            pass
        ((self.began,),) = cursor.fetchall()
        return self.began

    def begin_later(self, guess: float, *, synced: bool = True, receipt: str = "") -> None:
        """Begin a transaction together with its first statement, in one round trip.

        Without a statement there is no transaction. Only where `direct`.

        Args:
            guess: what the server's clock will say; `ask` raises `Misguessed` if it does not.
            synced: whether its commit is on the disk before it is answered.
            receipt: a UUID that proves, once it is there, that the transaction was committed.
        """
        statements: list[Statement] = [("begin", ())]
        statements += [(setting, ()) for setting in self._syncing(synced=synced)]
        if receipt:
            statements.append(
                (f"{self._leave_receipt} ($1::uuid, {_NOW}) returning {_NOW}", (receipt,))
            )
        else:
            statements.append((f"select {_NOW}", ()))
        self._opening = _Opening(statements, guess)

    def _syncing(self, *, synced: bool) -> list[str]:
        if not synced:
            return ["set local synchronous_commit = off"]
        return ["set local synchronous_commit = on"] if self.synchronous_commit == "off" else []

    def ask(self, statement: Statement) -> Rows:
        """Run a statement of a plan, and return its rows."""
        text, parameters = statement
        if self._opening is not None:
            return self._open_with(self._named(text), parameters)
        cursor = self._connection.execute(self._named(text), parameters)
        return cursor.fetchall() if cursor.description else []

    def _open_with(self, text: str, parameters: Sequence[Any]) -> Rows:
        opening, self._opening = self._opening, None
        assert opening is not None  # noqa: S101 - known by the only caller
        with self._connection.pipeline():
            for statement in opening.statements:
                clock = self._connection.execute(*statement)
            cursor = self._connection.execute(text, parameters)
        ((self.began,),) = clock.fetchall()
        if not -_EARLY_SECONDS <= self.began - opening.guess <= _LATE_SECONDS:
            raise Misguessed(f"{opening.guess} was guessed, and it is {self.began}")
        return cursor.fetchall() if cursor.description else []

    def commit(self, also: str = "") -> None:
        """Commit what was begun, if anything was done, and run a statement after it.

        Args:
            also: the statement; what it raises leaves open whether the commit happened.
        """
        if self._opening is None:
            self.say(f"commit; {also}" if also else "commit")
        elif also:
            self.say(also)
        self._opening = None

    def say(self, text: str) -> Rows:
        """Run statements without parameters; return the rows of the last one."""
        cursor = self._connection.execute(self._named(text))
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []

    def rollback(self) -> None:
        """Undo what is open, if the server is still there to do it."""
        self._opening = None
        with contextlib.suppress(psycopg.Error):
            if not self.broken and not self.idle:
                self.say("rollback")

    def close(self) -> None:
        """Let go of it; what is open is rolled back. Harmless when repeated."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def _named(self, text: str) -> str:
        """Return a text with the name of the schema that is really used."""
        named = self._texts.get(text)
        if named is None:
            named = text.replace(_SCHEMA_PREFIX, self._schema)
            self._texts[text] = named
        return named
