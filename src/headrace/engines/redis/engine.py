"""The Redis engine: an `Engine` on one Redis or Valkey server, for processes of many machines."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from headrace.clock import Clock, SystemClock
from headrace.concerns import ids_of, topics_of
from headrace.engine import Capabilities, Entry, Hint, Inspection, Maintained, Topic, Tx
from headrace.engines.redis import answering, asking, fitness, inspecting, reading, treatment
from headrace.engines.redis.address import parse
from headrace.engines.redis.hints import Hints
from headrace.engines.redis.link import Away, Link
from headrace.engines.redis.reader import Asker
from headrace.engines.redis.request import Request
from headrace.engines.redis.scripts import ACCEPT, ARRIVE, COMMIT, DEPART, LEASE, MAINTAIN, Script
from headrace.engines.redis.session import Session
from headrace.errors import EngineClosed, EngineError, Unsupported
from headrace.ids import Ids
from headrace.record import Cause, Failure, Filter, IdPage, Page, QueueStatus, Record, State
from headrace.reply import Reply
from headrace.write import Lease, Send, Write

A = TypeVar("A")
T = TypeVar("T")

_JOINED_SEND_LIMIT = 64
_PATIENCE_SHARE = 0.8
"""Of a caller's deadline: what became of a request is told before the caller gives up."""
_PATIENCE_LIMIT = 60.0
"""Seconds; the server remembers answers for twice as long, so none is asked for too late."""

_leases = msgspec.json.Decoder(tuple[Lease, ...]).decode
_lease = msgspec.json.Decoder(Lease).decode
_raw_leases = msgspec.json.Decoder(list[msgspec.Raw]).decode


class RedisEngine:
    """Queue, ledger and store in Redis; see `headrace.engine.Engine` for the methods.

    Args:
        url: `redis://`, `rediss://` or `redis+sentinel://`, with `?prefix=` for keys of one's own.
        clock: the system's own stands for the server's clock, which all hosts share; another one
            moves the time of the scripts, in tests.
        ids: what makes claims' random names.
        poll: seconds between looks for jobs, behind the hints.
        deadline: seconds that a call may take, however long the server is away.
        allow_volatile_server: use a server that keeps no append-only file all the same.

    Raises:
        ConfigError: the URL is none of these.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        poll: float = 1.0,
        deadline: float = 30.0,
        allow_volatile_server: bool = False,
    ) -> None:
        self.address = parse(url)
        self._clock = clock or SystemClock()
        self._ids = ids or Ids(self._clock)
        self._poll = poll
        self._patience = min(_PATIENCE_SHARE * deadline, _PATIENCE_LIMIT)
        self._allow_volatile = allow_volatile_server
        self._time = SystemClock().monotonic
        self._hints = Hints(self.address, self._ids)
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._session: Session | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            durable="native", shared="native", transaction="never", adopt="never", backup="never"
        )

    # Opening and closing --------------------------------------------------------------------------

    def open(self) -> Reply[None]:
        """Look whether the server keeps the promises, and start to serve."""
        self._shed_the_parents()
        session = self._session
        if session is not None and not session.writer.failed:
            return Reply.of(None)
        return _in_thread(self._open)

    def _open(self) -> None:
        with self._lock:
            if self._session is not None:
                if not self._session.writer.failed:
                    return
                self._session.close()
            self._examine()
            self._session = self._new_session()

    def _examine(self) -> None:
        key = self.address.key
        asker = Asker(Link(self.address), key, lambda *_: b"")
        try:
            facts = fitness.look(asker, key)
            fitness.check(facts, str(self.address), allow_volatile=self._allow_volatile)
            fitness.mark(asker, key, facts)
        except Away as away:
            raise EngineError(f"{away}: start the server, or correct the URL") from away
        finally:
            asker.close()

    def _new_session(self) -> Session:
        return Session(
            self.address,
            self._hints,
            clock=self._clock,
            ids=self._ids,
            poll=self._poll,
            patience=self._patience,
        )

    def _shed_the_parents(self) -> None:
        """In a forked child: begin with a session of its own, as connections are the parent's."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._lock = threading.Lock()
        if self._session is not None:
            self._session.forget()
            self._session = self._new_session()

    def close(self) -> Reply[None]:
        """Write what was handed over, then let go of the server."""
        self._shed_the_parents()
        return _in_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            session, self._session = self._session, None
            if session is not None:
                session.close()

    def _current(self) -> Session:
        self._shed_the_parents()
        session = self._session
        if session is None:
            raise EngineClosed(f"{self.address} is not open: call open() first")
        return session

    # Writing --------------------------------------------------------------------------------------

    def apply(self, write: Write[A], tx: Tx | None = None) -> Reply[A]:
        """Commit one write."""
        if isinstance(write, Send) and tx is None and self._joins(write):
            return self._send_with_others(write)
        return self.commit([write], tx).map(lambda answers: answers[0])

    @staticmethod
    def _joins(write: Send) -> bool:
        small = 0 < len(write.messages) <= _JOINED_SEND_LIMIT
        return small and all(message.unique_key is None for message in write.messages)

    def _send_with_others(self, write: Send) -> Reply[Any]:
        try:
            facts = asking.facts_of(write.messages)
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            return Reply.failed(error)
        return self._put(
            self._request(
                ACCEPT,
                b"",
                lambda told: answering.answers_to([write], told)[0],
                facts=facts,
                ids=lambda: ids_of([write]),
                topics=("ready",),
            )
        )

    def commit(self, writes: Sequence[Write[Any]], tx: Tx | None = None) -> Reply[tuple[Any, ...]]:
        """Commit several writes, all or none."""
        if tx is not None:
            return Reply.failed(_no_transactions())
        writes = tuple(writes)
        try:
            verbs, blobs = asking.verbs_of(writes)
            body = asking.pack(verbs)
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            return Reply.failed(error)
        return self._put(
            self._request(
                _script_for(writes),
                body,
                lambda told: answering.answers_to(writes, told),
                blobs=blobs,
                ids=lambda: ids_of(writes),
                topics=topics_of(writes),
                repeatable=treatment.repeatable(writes),
            )
        )

    def _request(
        self, script: Any, body: bytes, decode: Callable[[Any], Any], **more: Any
    ) -> Request:
        return Request(
            script=script,
            note=self._ids.nonce(),
            body=body,
            decode=decode,
            reply=Reply(),
            until=self._time() + self._patience,
            **more,
        )

    def _put(self, request: Request) -> Reply[Any]:
        try:
            self._current().writer.put(request)
        except EngineClosed as error:
            request.reply.fail(error)
        return request.reply

    def begin(self) -> NoReturn:
        """Declared unsupported: a script cannot wait for what a program decides in between."""
        raise _no_transactions()

    def adopt(self, connection: object) -> NoReturn:
        """Declared unsupported: Redis has no transaction that a program could share."""
        raise Unsupported(
            f"the Redis engine cannot join the transaction of a {type(connection).__name__}: submit"
            " after your commit, with a unique key, or use SQLite or PostgreSQL"
        )

    # The queue ------------------------------------------------------------------------------------

    def lease(
        self, queues: Sequence[str], *, limit: int, seconds: float, holder: str, wait: float = 0.0
    ) -> Reply[tuple[Lease, ...]]:
        """Claim jobs."""
        names = self._rotated(tuple(dict.fromkeys(queues)))
        if not names or limit < 1:
            return self._look(lambda _: ())
        claim = f"{holder}.{self._ids.nonce()}"
        quoted = msgspec.json.encode(claim).decode()
        request = self._request(
            LEASE,
            asking.pack((names, limit, seconds, claim, quoted)),
            self._leases,
            queues=names,
            patience=self._time() + wait if wait > 0 else 0.0,
            repeatable=True,
        )
        request.until += wait
        if wait > 0 and self._session is not None:
            self._current().listen()
        return self._put(request)

    def _rotated(self, queues: tuple[str, ...]) -> tuple[str, ...]:
        """Begin with another queue each time, so that the first one is not always served first."""
        if len(queues) < 2:  # noqa: PLR2004 - nothing to rotate
            return queues
        start = int(self._ids.fraction() * len(queues))
        return queues[start:] + queues[:start]

    def _leases(self, told: Sequence[bytes]) -> tuple[Lease, ...]:
        try:
            leases = _leases(told[0])
        except msgspec.DecodeError:
            leases = self._without_unreadable(_raw_leases(told[0]))
        session = self._session
        if leases and session is not None:
            session.floor = max(session.floor, leases[0].token)
        return leases

    def _without_unreadable(self, raw: Sequence[msgspec.Raw]) -> tuple[Lease, ...]:
        """End what this version cannot read as dead letters, so that nothing else waits for it."""
        readable: list[Lease] = []
        verbs: list[asking.Verb] = []
        for text in raw:
            try:
                readable += [_lease(text)]
            except msgspec.DecodeError as error:
                _, token, claim, *_, job_id = msgspec.json.decode(text)
                reason = f"the envelope cannot be read: {error}"
                failure = msgspec.json.encode(Failure(cause=Cause.UNREADABLE, message=reason))
                ending = (State.DEAD, False, False, 0, Cause.UNREADABLE, failure.decode())
                verbs += [("settle", [(job_id, token, claim, *ending)], False)]
        self._put(self._request(COMMIT, asking.pack(verbs), lambda _: None, repeatable=True))
        return tuple(readable)

    def depth(self, queues: Sequence[str] = ()) -> Reply[tuple[QueueStatus, ...]]:
        """Tell how queues are doing."""
        return self._look(lambda asker: reading.depth(asker, tuple(queues)))

    # The ledger -----------------------------------------------------------------------------------

    def get(self, ids: Sequence[str]) -> Reply[dict[str, Record]]:
        """Tell all about jobs."""
        return self._look(lambda asker: reading.get(asker, tuple(ids)))

    def states(self, ids: Sequence[str]) -> Reply[dict[str, State]]:
        """Tell the states of jobs."""
        return self._look(lambda asker: reading.states(asker, tuple(ids)))

    def find(self, where: Filter, *, limit: int = 100, cursor: str | None = None) -> Reply[Page]:
        """List jobs, newest first."""
        return self._look(lambda asker: reading.find(asker, where, limit, cursor))

    def find_ids(
        self, where: Filter, *, limit: int = 1000, cursor: str | None = None
    ) -> Reply[IdPage]:
        """List only the ids of jobs, newest first."""
        return self._look(lambda asker: reading.find_ids(asker, where, limit, cursor))

    # The store ------------------------------------------------------------------------------------

    def load(self, keys: Sequence[str]) -> Reply[dict[str, Entry]]:
        """Tell what is remembered, by key."""
        return self._look(lambda asker: reading.load(asker, keys))

    def scan(self, prefix: str, *, limit: int = 1000, after: str = "") -> Reply[tuple[Entry, ...]]:
        """Tell what is remembered under keys that begin alike."""
        return self._look(lambda asker: reading.scan(asker, prefix, limit, after))

    def _look(self, look: Callable[[Asker], T]) -> Reply[T]:
        try:
            return self._current().look(look)
        except EngineClosed as error:
            return Reply.failed(error)

    # Looking after it -----------------------------------------------------------------------------

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Pass on hints, from this process and others."""
        self._shed_the_parents()
        return self._hints.watch(topic, hint)

    def maintain(self) -> Reply[Maintained]:
        """Reap, expire and prune a little."""
        return self._put(self._request(MAINTAIN, b"", reading.maintained, repeatable=True))

    def inspect(self) -> Reply[Inspection]:
        """Read back the settings and say what they guarantee."""
        return self._look(lambda asker: inspecting.inspect(asker, self.address))

    def backup(self, target: Path) -> Reply[None]:
        """Declared unsupported: the server keeps its own files."""
        return Reply.failed(
            Unsupported(f"no backup to {target}: copy the server's own files (BGSAVE, its AOF)")
        )


def _script_for(writes: Sequence[Write[Any]]) -> Script:
    if treatment.moves(writes):
        return ARRIVE if treatment.accepts(writes) else DEPART
    return ACCEPT if treatment.accepts(writes) else COMMIT


def _no_transactions() -> Unsupported:
    return Unsupported(
        "the Redis engine has no transactions, as a script cannot wait for a program: commit your"
        " writes together with `engine.commit([...])`, make effects idempotent with"
        " `ctx.idempotency_key`, or use SQLite or PostgreSQL for `ctx.transaction()`"
    )


def _in_thread(work: Callable[[], None]) -> Reply[None]:
    """Do something slow and rare without keeping the caller's loop waiting."""
    reply: Reply[None] = Reply()

    def target() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            reply.fail(error)
        else:
            reply.resolve(None)

    threading.Thread(target=target, name="headrace-open", daemon=True).start()
    return reply
