"""The PostgreSQL engine: an `Engine` on one server, for any number of hosts."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from headrace.clock import Clock, SystemClock
from headrace.concerns import ids_of, topics_of
from headrace.engine import Capabilities, Entry, Hint, Inspection, Maintained, Topic, Tx
from headrace.engines.postgresql import inspecting, keeping, leasing, reading, storing
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.database import Database
from headrace.engines.postgresql.guest import Guest, Visit
from headrace.engines.postgresql.hints import Hints
from headrace.engines.postgresql.home import Home
from headrace.engines.postgresql.hosts import host_of
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.marks import Marks
from headrace.engines.postgresql.plan import Moment, Plan, run
from headrace.engines.postgresql.request import Request
from headrace.engines.postgresql.sending import send
from headrace.engines.postgresql.session import Session
from headrace.engines.postgresql.transaction import Transaction
from headrace.engines.postgresql.trouble import told
from headrace.engines.postgresql.writer import Thinking
from headrace.engines.postgresql.writes import locks_groups, may_wait, plan_of, queues_of
from headrace.errors import EngineClosed, Unsupported, UsageError
from headrace.ids import Ids
from headrace.record import Filter, IdPage, Page, QueueStatus, Record, State
from headrace.reply import Reply
from headrace.write import Lease, Send, Write

A = TypeVar("A")
T = TypeVar("T")

_JOINED_SEND_LIMIT = 64
_PATIENCE_SHARE = 0.8
"""Of a caller's deadline: what became of a request is told before the caller gives up."""
_HINT_SECONDS = 1.0
"""For which the answer to a hint is awaited: later it is worth nothing."""


class PostgreSQLEngine:
    """Queue, ledger and store in one schema; see `headrace.engine.Engine` for the methods.

    Args:
        url: where the database is; see `Address`.
        clock: what tells the time instead of the server, for tests.
        ids: what makes claims' random names.
        poll: seconds between looks for jobs, behind the hints.
        deadline: seconds that a call may take, however long the server is away.
        transaction_limit: seconds for which a transaction may be open.
        allow_unsafe_server: use a server all the same that may lose or damage what it has accepted.

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(  # noqa: PLR0913 - settings of one engine, each given by name
        self,
        url: str,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        poll: float = 1.0,
        deadline: float = 30.0,
        transaction_limit: float = 1.0,
        allow_unsafe_server: bool = False,
    ) -> None:
        self.address = Address(url)
        self._clock = clock
        self._time = SystemClock().monotonic
        self._ids = ids or Ids()
        self._database = Database(
            self.address, allow_unsafe_server=allow_unsafe_server, deadline=deadline
        )
        self._poll = poll
        self._deadline = _PATIENCE_SHARE * deadline
        self._transaction_limit = transaction_limit
        self._marks = Marks(self._time)
        self._rounds = keeping.Rounds(self._time)
        self._hints = self._new_hints()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._home = Home(self.address, deadline, self._moment, self._write, self._expect)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            durable="native", shared="native", transaction="native", adopt="native", backup="never"
        )

    def _moment(self, seconds: float) -> Moment:
        """Return what plans go by: the server's time, unless a test has its own."""
        if self._clock is None:
            return Moment(seconds, seconds)
        return Moment(self._clock.now(), self._clock.monotonic())

    # Opening and closing --------------------------------------------------------------------------

    def open(self) -> Reply[None]:
        """Make or check the schema, and start to serve."""
        if self._session is not None and not self._session.inherited:
            return Reply.of(None)
        return _in_thread(self._open)

    def _open(self) -> None:
        with self._lock:
            if self._session is None or self._session.inherited:
                self._database.prepare()
                self._session = self._new_session()

    def close(self) -> Reply[None]:
        """Write what was handed over, then let go of the connections."""
        return _in_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            session, self._session = self._session, None
            if session is not None and not session.inherited:
                session.close()

    def _current(self) -> Session:
        session = self._session
        if session is not None and session.inherited:
            session = self._renewed()
        if session is None:
            raise EngineClosed(f"{self.address.shown} is not open: call open() first")
        return session

    def _renewed(self) -> Session | None:
        """In a forked child, leave the parent what is the parent's, and connect anew."""
        with self._lock:
            if self._session is not None and self._session.inherited:
                self._hints = self._new_hints()
                self._session = self._new_session()
            return self._session

    def _new_hints(self) -> Hints:
        def connect() -> Link:
            return Link(self.address, narrow=False, answer_seconds=_HINT_SECONDS)

        return Hints(connect, self.address.schema, Ids().fraction)

    def _new_session(self) -> Session:
        thinking = Thinking(
            moment=self._moment,
            join=send,
            waits=lambda queues, moment: leasing.claimable_in(queues, moment.now, self._marks),
        )
        return Session(
            self.address,
            self._hints,
            name=Ids().nonce(),
            thinking=thinking,
            poll=self._poll,
            deadline=self._deadline,
        )

    # Writing --------------------------------------------------------------------------------------

    def apply(self, write: Write[A], tx: Tx | None = None) -> Reply[A]:
        """Commit one write."""
        if tx is not None:
            return self._commit_in(tx, [write]).map(lambda answers: answers[0])
        messages = write.messages if isinstance(write, Send) else ()
        waits = may_wait(write)
        joins = 0 < len(messages) <= _JOINED_SEND_LIMIT and not waits
        return self._put(
            Request(
                plan=lambda moment: plan_of(write, moment),
                reply=Reply(),
                until=self._time() + self._deadline,
                messages=messages if joins else (),
                ids=lambda: ids_of([write]),
                topics=topics_of([write]),
                alone=not joins and locks_groups(write),
            ),
            waits=waits,
        )

    def commit(self, writes: Sequence[Write[Any]], tx: Tx | None = None) -> Reply[tuple[Any, ...]]:
        """Commit several writes, all or none."""
        if tx is not None:
            return self._commit_in(tx, writes)
        return self._put(
            Request(
                plan=lambda moment: _all(writes, moment),
                reply=Reply(),
                until=self._time() + self._deadline,
                ids=lambda: ids_of(writes),
                topics=topics_of(writes),
                alone=any(map(locks_groups, writes)),
            ),
            waits=any(map(may_wait, writes)),
        )

    def _commit_in(self, tx: Tx, writes: Sequence[Write[Any]]) -> Reply[tuple[Any, ...]]:
        if isinstance(tx, Guest):
            return tx.run(_visit(writes))
        if not isinstance(tx, Transaction):
            raise UsageError(f"{type(tx).__name__} is not a transaction of this engine")
        return tx.run(
            lambda moment: _all(writes, moment),
            topics_of(writes),
            ids_of(writes),
            queues_of(writes),
        )

    def _write(self, plan: Callable[[Moment], Plan[Any]]) -> Reply[Any]:
        return self._put(Request(plan=plan, reply=Reply(), until=self._time() + self._deadline))

    def _expect(self, transaction: str, topics: Iterable[Topic]) -> None:
        with contextlib.suppress(EngineClosed):  # nobody here has a worker to wake
            self._current().expect(transaction, topics)

    def _put(self, request: Request, *, waits: bool = False) -> Reply[Any]:
        try:
            self._current().put(request, waits=waits)
        except EngineClosed as error:
            request.reply.fail(error)
        return request.reply

    def begin(self) -> Tx:
        """Begin a transaction on a connection of its own."""
        return self._current().begin(self._transaction_limit)

    def adopt(self, connection: object) -> Tx:
        """Take part in the transaction of a connection to the same database."""
        if isinstance(connection, Transaction | Guest):
            return connection
        host = host_of(connection)
        self._current()
        return Guest(host, self._home)

    # The queue ------------------------------------------------------------------------------------

    def lease(
        self, queues: Sequence[str], *, limit: int, seconds: float, holder: str, wait: float = 0.0
    ) -> Reply[tuple[Lease, ...]]:
        """Claim jobs."""
        names = self._rotated(tuple(dict.fromkeys(queues)))
        claim = leasing.Claim(
            queues=names, limit=limit, seconds=seconds, name=f"{holder}.{self._ids.nonce()}"
        )
        now = self._time()
        return self._put(
            Request(
                plan=lambda moment: leasing.lease(claim, moment, self._marks),
                reply=Reply(),
                until=now + max(wait, 0.0) + self._deadline,
                queues=names,
                claim=claim.name,
                patience=now + wait if wait > 0 else 0.0,
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
        return self._read(lambda moment: reading.depth(queues, moment))

    # The ledger -----------------------------------------------------------------------------------

    def get(self, ids: Sequence[str]) -> Reply[dict[str, Record]]:
        """Tell all about jobs."""
        return self._read(lambda moment: reading.get(ids, moment))

    def states(self, ids: Sequence[str]) -> Reply[dict[str, State]]:
        """Tell the states of jobs."""
        return self._read(lambda moment: reading.states(ids, moment))

    def find(self, where: Filter, *, limit: int = 100, cursor: str | None = None) -> Reply[Page]:
        """List jobs, newest first."""
        return self._read(lambda moment: reading.find(where, limit, cursor, moment))

    def find_ids(
        self, where: Filter, *, limit: int = 1000, cursor: str | None = None
    ) -> Reply[IdPage]:
        """List only the ids of jobs, newest first."""
        return self._read(lambda moment: reading.find_ids(where, limit, cursor, moment))

    # The store ------------------------------------------------------------------------------------

    def load(self, keys: Sequence[str]) -> Reply[dict[str, Entry]]:
        """Tell what is remembered, by key."""
        return self._read(lambda moment: storing.load(keys, moment))

    def scan(self, prefix: str, *, limit: int = 1000, after: str = "") -> Reply[tuple[Entry, ...]]:
        """Tell what is remembered under keys that begin alike."""
        return self._read(lambda moment: storing.scan(prefix, limit, after, moment))

    def _read(self, plan: Callable[[Moment], Plan[T]]) -> Reply[T]:
        """Run a plan that only reads, all of it on one state of the database."""

        def look(link: Link) -> T:
            now = link.begin(mode="isolation level repeatable read read only")
            answer = run(link.ask, plan(self._moment(now)))
            link.say("commit")
            return answer

        return self._look(look)

    def _look(self, look: Callable[[Link], T]) -> Reply[T]:
        try:
            return self._current().look(look)
        except EngineClosed as error:
            return Reply.failed(error)

    # Looking after it -----------------------------------------------------------------------------

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Pass on hints, from this process and others."""
        return self._hints.watch(topic, hint)

    def maintain(self) -> Reply[Maintained]:
        """Reap, expire and prune a little, if there is anything to do."""
        until = self._time() + self._deadline
        rounds, search = self._rounds, self._rounds.next()
        # All hosts do this all the time: a transaction that finds nothing would be a write of each.
        moment = None if self._clock is None else self._moment(0.0)
        look = self._look(lambda link: run(link.ask, rounds.due(moment, search)))
        reply: Reply[Maintained] = Reply()

        def go_on(_: Reply[keeping.Search | None]) -> None:
            if look.error is not None:
                reply.fail(look.error)
            elif (found := look.wait()) is None:
                reply.resolve(Maintained())
            else:
                plan = functools.partial(keeping.maintain, search=found)
                self._put(Request(plan=plan, reply=reply, until=until))

        look.listen(go_on)
        return reply.map(self._hint_at)

    def _hint_at(self, done: Maintained) -> Maintained:
        if done.reclaimed or done.expired or done.pruned:
            self._hints.give(("ready", "finished"))
        return done

    def inspect(self) -> Reply[Inspection]:
        """Read back the settings and say what they guarantee."""
        return self._look(lambda link: inspecting.inspect(link, self.address))

    def backup(self, target: Path) -> Reply[None]:
        """Declared unsupported: the server's own tools do it."""
        return Reply.failed(
            Unsupported(f"PostgreSQL is not copied to {target}: use pg_dump or pg_basebackup")
        )


def _all(
    writes: Sequence[Write[Any]], moment: Moment, *, lasting: bool = False
) -> Plan[tuple[Any, ...]]:
    answers: list[Any] = []
    for write in writes:
        answers += [(yield from plan_of(write, moment, lasting=lasting))]
    return tuple(answers)


def _visit(writes: Sequence[Write[Any]]) -> Visit:
    """Return what a guest does; it may have to wait unless all it does is to send plain jobs."""
    messages = [message for w in writes if isinstance(w, Send) for message in w.messages]
    only_sends = all(isinstance(write, Send) for write in writes)
    keyed = any(m.unique_key is not None or m.order_on_wait == "skip" for m in messages)
    return Visit(
        plan=lambda moment: _all(writes, moment, lasting=True),
        topics=topics_of(writes),
        queues=tuple(message.queue for message in messages),
        waits=keyed or not only_sends,
    )


def _in_thread(work: Callable[[], None]) -> Reply[None]:
    """Do something slow and rare without keeping the caller's loop waiting."""
    reply: Reply[None] = Reply()

    def target() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            reply.fail(told(error))
        else:
            reply.resolve(None)

    threading.Thread(target=target, name="headrace-open", daemon=True).start()
    return reply
