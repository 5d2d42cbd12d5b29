"""The SQLite engine: an `Engine` on one file, for several processes of one machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from headrace.clock import Clock, SystemClock
from headrace.concerns import ids_of, topics_of
from headrace.engine import (
    Capabilities,
    Entry,
    Hint,
    Inspection,
    Maintained,
    Topic,
    Tx,
)
from headrace.engines.sqlite import inspecting, leasing, reading, storing
from headrace.engines.sqlite.ballast import Ballast
from headrace.engines.sqlite.database import (
    Database,
    Durability,
    check_file_system,
    check_version,
)
from headrace.engines.sqlite.forking import Lock
from headrace.engines.sqlite.hints import Hints
from headrace.engines.sqlite.keeping import maintain
from headrace.engines.sqlite.plan import Plan
from headrace.engines.sqlite.sending import send
from headrace.engines.sqlite.session import Session, Thinking
from headrace.engines.sqlite.transaction import Transaction
from headrace.engines.sqlite.trouble import lacks_space, trouble
from headrace.engines.sqlite.writer import Request
from headrace.engines.sqlite.writes import plan_of, takes_on
from headrace.errors import EngineClosed, Unsupported, UsageError
from headrace.ids import Ids
from headrace.message import Message
from headrace.record import Filter, IdPage, Page, QueueStatus, Record, State
from headrace.reply import Reply
from headrace.write import Lease, Send, Write

A = TypeVar("A")
T = TypeVar("T")

_JOINED_SEND_LIMIT = 64
_BALLAST_BYTES = 16 * 1024 * 1024


class SQLiteEngine:
    """Queue, ledger and store in one SQLite file; see `headrace.engine.Engine` for the methods.

    Args:
        path: the database file; made when it is not there.
        durability: "power": a commit is on the disk before it is answered; "crash": it survives
            the end of any process, but a power cut may take the last ones.
        clock: what tells the time.
        ids: what makes claims' random names.
        poll: seconds between looks for jobs, behind the hints.
        ballast: bytes of disk kept in reserve for ending work when the disk is full.
        transaction_limit: seconds for which a transaction may hold the write lock.
        allow_network_files: use a network file system all the same, from one host only.
        vfs: name of a registered SQLite VFS; for fault tests.

    Raises:
        StorageUnfit: the SQLite library may lose commits.
    """

    def __init__(  # noqa: PLR0913 - settings of one engine, each given by name
        self,
        path: str | Path,
        *,
        durability: Durability = "power",
        clock: Clock | None = None,
        ids: Ids | None = None,
        poll: float = 1.0,
        ballast: int = _BALLAST_BYTES,
        transaction_limit: float = 1.0,
        allow_network_files: bool = False,
        vfs: str | None = None,
    ) -> None:
        check_version(apsw.sqlite_lib_version())
        self.path = Path(path).expanduser().resolve()
        self._clock = clock or SystemClock()
        self._ids = ids or Ids(self._clock)
        self._database = Database(self.path, durability, vfs)
        self._ballast = Ballast(self.path.with_name(self.path.name + "-ballast"), ballast)
        self._poll = poll
        self._transaction_limit = transaction_limit
        self._allow_network_files = allow_network_files
        self._hints = Hints(self.path.with_name(self.path.name + "-hints"))
        self._lock = Lock()
        self._session: Session | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            durable="native", shared="native", transaction="native", adopt="never", backup="native"
        )

    # Opening and closing --------------------------------------------------------------------------

    def open(self) -> Reply[None]:
        """Make or check the file, and start to serve."""
        if self._serving():
            return Reply.of(None)
        return _in_thread(self._open)

    def _serving(self) -> bool:
        session = self._session
        return session is not None and session.usable and not session.inherited

    def _open(self) -> None:
        with self._lock:
            if self._serving():
                return
            if self._session is not None and not self._session.inherited:
                self._session.close()
            if not self._allow_network_files:
                check_file_system(self.path)
            self._prepare()
            self._session = self._new_session()

    def _prepare(self) -> None:
        """Make or check the file; when the disk is full, in space that the reserve gives up."""
        spent = False
        while True:
            try:
                self._database.prepare(self._clock.boot())
            except apsw.Error as error:
                if not lacks_space(error) or not self._ballast.spend():
                    raise
                spent = True
            else:
                break
        if not spent:
            self._ballast.fill()

    def close(self) -> Reply[None]:
        """Write what was handed over, then let go of the file."""
        return _in_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            session, self._session = self._session, None
            if session is not None and not session.inherited:
                session.close()

    def _current(self) -> Session:
        """Return this process's own session; a forked child gets one at its first use."""
        session = self._session
        if session is not None and session.inherited:
            with self._lock:
                session = self._session
                if session is not None and session.inherited:
                    session = self._session = self._new_session()
        if session is None:
            raise EngineClosed(f"{self.path} is not open: call open() first")
        return session

    def _new_session(self) -> Session:
        thinking = Thinking(
            join=lambda messages: send(messages, self._clock.now()),
            waits=lambda queues: leasing.claimable_in(queues, self._clock.now()),
        )
        return Session(
            self._database,
            self._ballast,
            self._hints,
            name=self._ids.nonce(),
            thinking=thinking,
            poll=self._poll,
        )

    # Writing --------------------------------------------------------------------------------------

    def apply(self, write: Write[A], tx: Tx | None = None) -> Reply[A]:
        """Commit one write."""
        if tx is not None:
            return self._commit_in(tx, [write]).map(lambda answers: answers[0])
        return self._put(
            _request((write,), lambda: plan_of(write, self._clock), messages=_joined(write))
        )

    def commit(self, writes: Sequence[Write[Any]], tx: Tx | None = None) -> Reply[tuple[Any, ...]]:
        """Commit several writes, all or none."""
        if tx is not None:
            return self._commit_in(tx, writes)
        return self._put(_request(writes, lambda: self._all(writes)))

    def _all(self, writes: Sequence[Write[Any]]) -> Plan[tuple[Any, ...]]:
        answers: list[Any] = []
        for write in writes:
            answers += [(yield from plan_of(write, self._clock))]
        return tuple(answers)

    def _commit_in(self, tx: Tx, writes: Sequence[Write[Any]]) -> Reply[tuple[Any, ...]]:
        if not isinstance(tx, Transaction):
            raise UsageError(f"{type(tx).__name__} is not a transaction of this engine")
        return tx.run(lambda: self._all(writes), topics_of(writes), ids_of(writes))

    def _put(self, request: Request) -> Reply[Any]:
        try:
            self._current().writer.put(request)
        except EngineClosed as error:
            request.reply.fail(error)
        return request.reply

    def begin(self) -> Tx:
        """Begin a transaction on a connection of its own."""
        return self._current().begin(self._transaction_limit)

    def adopt(self, connection: object) -> Tx:
        """Declared unsupported: POSIX locks forbid a second library on the same file."""
        if isinstance(connection, Transaction):
            return connection
        raise Unsupported(
            f"the SQLite engine cannot join the transaction of a {type(connection).__name__}: use"
            " `ctx.transaction()` or `app.engine.begin()`, whose execute() writes your tables in"
            " Headrace's file, or use PostgreSQL"
        )

    # The queue ------------------------------------------------------------------------------------

    def lease(
        self, queues: Sequence[str], *, limit: int, seconds: float, holder: str, wait: float = 0.0
    ) -> Reply[tuple[Lease, ...]]:
        """Claim jobs."""
        if limit < 1:
            return Reply.of(())  # waiting for it would be in vain
        names = self._rotated(tuple(queues))
        clock = self._clock
        claim = leasing.Claim(
            queues=names, limit=limit, seconds=seconds, name=f"{holder}.{self._ids.nonce()}"
        )
        return self._put(
            Request(
                plan=lambda: leasing.lease(claim, clock.now(), clock.monotonic()),
                reply=Reply(),
                queues=names,
                patience=SystemClock().monotonic() + wait if wait > 0 else 0.0,
            )
        )

    def _rotated(self, queues: tuple[str, ...]) -> tuple[str, ...]:
        """Begin with another queue each time, so that the first one is not always served first."""
        if len(queues) < 2:  # noqa: PLR2004 - nothing to rotate
            return queues
        start = int(self._ids.fraction() * len(queues))
        return queues[start:] + queues[:start]

    def depth(self, queues: Sequence[str] = ()) -> Reply[tuple[QueueStatus, ...]]:
        """Tell how queues are doing."""
        return self._read(lambda: reading.depth(queues, self._clock.now()))

    # The ledger -----------------------------------------------------------------------------------

    def get(self, ids: Sequence[str]) -> Reply[dict[str, Record]]:
        """Tell all about jobs."""
        return self._read(lambda: reading.get(ids, self._clock.now()))

    def states(self, ids: Sequence[str]) -> Reply[dict[str, State]]:
        """Tell the states of jobs."""
        return self._read(lambda: reading.states(ids, self._clock.now()))

    def find(self, where: Filter, *, limit: int = 100, cursor: str | None = None) -> Reply[Page]:
        """List jobs, newest first."""
        return self._read(lambda: reading.find(where, limit, cursor, self._clock.now()))

    def find_ids(
        self, where: Filter, *, limit: int = 1000, cursor: str | None = None
    ) -> Reply[IdPage]:
        """List only the ids of jobs, newest first."""
        return self._read(lambda: reading.find_ids(where, limit, cursor, self._clock.now()))

    # The store ------------------------------------------------------------------------------------

    def load(self, keys: Sequence[str]) -> Reply[dict[str, Entry]]:
        """Tell what is remembered, by key."""
        return self._read(lambda: storing.load(keys, self._clock.now()))

    def scan(self, prefix: str, *, limit: int = 1000, after: str = "") -> Reply[tuple[Entry, ...]]:
        """Tell what is remembered under keys that begin alike."""
        return self._read(lambda: storing.scan(prefix, limit, after, self._clock.now()))

    def _read(self, plan: Callable[[], Plan[T]]) -> Reply[T]:
        try:
            return self._current().read(plan)
        except EngineClosed as error:
            return Reply.failed(error)

    # Looking after it -----------------------------------------------------------------------------

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Pass on hints, from this process and others."""
        return self._hints.watch(topic, hint)

    def maintain(self) -> Reply[Maintained]:
        """Reap, expire and prune a little."""
        clock = self._clock
        self._ballast.fill()
        request = Request(
            plan=lambda: maintain(clock.now(), clock.monotonic()),
            reply=Reply(),
            ends=True,
        )
        return self._put(request).map(self._hint_at)

    def _hint_at(self, done: Maintained) -> Maintained:
        if done.reclaimed or done.expired or done.pruned:
            self._hints.give(("ready", "finished"))
        return done

    def inspect(self) -> Reply[Inspection]:
        """Read back the settings and say what they guarantee."""
        try:
            return self._current().look(
                lambda connection: inspecting.inspect(connection, self._database, self._ballast)
            )
        except EngineClosed as error:
            return Reply.failed(error)

    def backup(self, target: Path) -> Reply[None]:
        """Copy a snapshot to a new file while everything goes on."""
        return _in_thread(lambda: inspecting.backup(self._database, target))


def _request(
    writes: Sequence[Write[Any]], plan: Callable[[], Plan[Any]], messages: tuple[Message, ...] = ()
) -> Request:
    accepts = takes_on(writes)
    return Request(
        plan=plan,
        reply=Reply(),
        writes=writes,
        messages=messages,
        topics=topics_of(writes),
        accepts=accepts,
        ends=not accepts,
    )


def _joined(write: Write[Any]) -> tuple[Message, ...]:
    """Return the messages of a small send: such ones are written as one. Of all else, none."""
    if not isinstance(write, Send) or len(write.messages) > _JOINED_SEND_LIMIT:
        return ()
    keyed = [message for message in write.messages if message.unique_key is not None]
    return () if keyed else write.messages


def _in_thread(work: Callable[[], None]) -> Reply[None]:
    """Do something slow and rare without keeping the caller's loop waiting."""
    reply: Reply[None] = Reply()

    def target() -> None:
        try:
            work()
        except apsw.Error as error:
            reply.fail(trouble(error).error)
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            reply.fail(error)
        else:
            reply.resolve(None)

    threading.Thread(target=target, name="headrace-open", daemon=True).start()
    return reply
