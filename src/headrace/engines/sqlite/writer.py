"""The one writer of a process: it gathers what waits into one transaction, and syncs it once.

Requests come from any thread and are answered when the transaction that holds them is durable.
Each runs in a savepoint of its own, so that one that is refused takes nobody with it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import apsw
import msgspec

from headrace.clock import SystemClock
from headrace.concerns import ids_of
from headrace.engine import Topic
from headrace.engines.sqlite.database import read_number, roll_back
from headrace.engines.sqlite.plan import Plan, run
from headrace.engines.sqlite.trouble import trouble
from headrace.engines.sqlite.wal import Sync, Wal
from headrace.errors import (
    EngineBusy,
    EngineClosed,
    EngineError,
    HeadraceError,
    OutcomeUnknown,
    StorageFull,
)
from headrace.message import Message
from headrace.reply import Reply, resolve_all
from headrace.write import Write

_GROUP_LIMIT = 4096
_BUSY_SECONDS = 20.0
_BACKOFF_FIRST = 0.0001
_BACKOFF_LAST = 0.004
_COURTESY = 0.0005
_MOST_UNSYNCED = 1_000
"""Claims in a row that are left to the next sync."""

Outcome = tuple[Reply[Any], Any, BaseException | None]


class Reserve(Protocol):
    """Space set aside for ending work when the disk is full."""

    def whole(self) -> bool:
        """Whether nothing of it has been spent."""
        ...

    def spend(self) -> bool:
        """Free a part of it; False when nothing is left."""
        ...


class Request(msgspec.Struct, kw_only=True, eq=False):
    """Something to be written.

    Attributes:
        plan: makes the plan; anew, when a transaction has to be repeated.
        reply: who waits for the answer.
        writes: what it writes, as far as its caller said so.
        messages: new jobs, if it is about nothing else: such requests are written as one.
        topics: what to hint at when it is committed.
        queues: where it wants jobs from.
        accepts: whether it takes on new work, which must not use up the storage reserve.
        ends: whether it ends or keeps work, which may.
        patience: seconds (of the writer's own clock) until which an empty answer is held back.
    """

    plan: Callable[[], Plan[Any]]
    reply: Reply[Any]
    writes: Sequence[Write[Any]] = ()
    messages: tuple[Message, ...] = ()
    topics: tuple[Topic, ...] = ()
    queues: tuple[str, ...] = ()
    accepts: bool = False
    ends: bool = False
    patience: float = 0.0


class Writer:
    """Writes requests, many at a time, on a thread and a connection of its own.

    Args:
        connect: opens a connection; called on the writer's thread.
        wal: returns the log as a connection writes it.
        reserve: the storage reserve.
        join: makes one plan of the messages of many requests.
        waits: tells in how many seconds queues may have a job to claim; 0 means now.
        hint: told the topics of what was committed.
        poll: seconds between looks at the database while somebody waits for jobs.
    """

    def __init__(  # noqa: PLR0913 - what it works with, each given by name
        self,
        *,
        connect: Callable[[], apsw.Connection],
        wal: Callable[[apsw.Connection], Wal],
        reserve: Reserve,
        join: Callable[[Sequence[Message]], Plan[Any]],
        waits: Callable[[apsw.Connection, Sequence[str]], float],
        hint: Callable[[Iterable[Topic]], None],
        poll: float,
    ) -> None:
        self._connect = connect
        self._open_wal = wal
        self._reserve = reserve
        self._join = join
        self._waits = waits
        self._hint = hint
        self._poll = poll
        self._time = SystemClock().monotonic
        self._turn = threading.Lock()  # who has it may use the connection
        self._connection: apsw.Connection | None = None
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Request] = deque()
        self._parked: list[Request] = []
        self._look = False
        self._asleep = False
        self._leaving = False
        self._closing = threading.Event()
        self._nothing = threading.Event()  # never happens: what to wait for between attempts
        self._failure: EngineError | None = None
        self._seen_version = 0
        self._unsynced = 0
        self._thread = threading.Thread(target=self._run, name="headrace-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, request: Request) -> None:
        """Hand over a request; its reply is resolved when it is durable."""
        with self._changed:
            refusal = self._failure or (
                EngineClosed("the engine is closed") if self._closing.is_set() else None
            )
            if refusal is None:
                self._waiting.append(request)
                if self._asleep:
                    self._changed.notify()
                return
        request.reply.fail(refusal)

    @property
    def failed(self) -> bool:
        """Whether it stopped after a failure."""
        return self._failure is not None

    def stop_after(self, failure: EngineError) -> None:
        """Write nothing more: somebody else's commit failed in an unknown way."""
        with self._changed:
            self._failure = self._failure or EngineClosed(f"{failure}: open the engine again")
            self._changed.notify()

    def look(self) -> None:
        """Look for jobs on behalf of those who wait: somebody hinted that there are some.

        The caller's thread does it while the writer's sleeps, as waking a thread takes time.
        """
        with self._changed:
            self._look = True
            wanted = self._asleep and bool(self._parked)
        if wanted and self._turn.acquire(blocking=False):
            try:
                if self._connection is not None:
                    self._write(self._connection, self._take(self._connection))
            finally:
                self._turn.release()
        elif wanted:
            with self._changed:
                self._changed.notify()

    def leave(self) -> None:
        """Close the connection when this group is written, and connect anew: the process forks."""
        with self._changed:
            self._leaving = True
            self._changed.notify()

    def close(self) -> None:
        """Write what was handed over, then stop. Harmless when repeated."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    # On the writer's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._over():
                self._leaving = False
                self._serve(self._connect())
        except (apsw.Error, EngineError) as error:
            self._fail(EngineClosed(f"the writer stopped ({error}): open the engine again"))
        except BaseException as error:
            self._fail(EngineClosed(f"the writer stopped ({error!r}): open the engine again"))
            raise
        finally:
            self._let_go()

    def _serve(self, connection: apsw.Connection) -> None:
        """Write until the end, or until the process wants to fork."""
        self._wal = self._open_wal(connection)
        with self._turn:
            self._connection = connection
            try:
                while not (self._leaving or self._over()):
                    self._sleep(self._time_to_next_look(connection))
                    self._write(connection, self._take(connection))
            finally:
                self._connection = None
                self._disconnect(connection)

    def _disconnect(self, connection: apsw.Connection) -> None:
        if self._failure is not None or self._leaving:
            # What a failed commit left behind is for recovery to judge, not for this process;
            # and a fork shall not have to wait for a checkpoint.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._wal.close()
        connection.close()

    def _over(self) -> bool:
        finished = self._closing.is_set() and not self._waiting
        return finished or self._failure is not None

    def _sleep(self, timeout: float | None) -> None:
        """Wait for work, with the connection free for others meanwhile."""
        if self._waiting:
            return
        self._turn.release()
        try:
            with self._changed:
                if not (self._waiting or self._look or self._leaving or self._over()):
                    self._asleep = True
                    self._changed.wait(timeout)
                    self._asleep = False
        finally:
            self._turn.acquire()

    # With the turn --------------------------------------------------------------------------------

    def _take(self, connection: apsw.Connection) -> list[Request]:
        """Return what there is to be written."""
        with self._changed:
            count = min(len(self._waiting), _GROUP_LIMIT)
            group = [self._waiting.popleft() for _ in range(count)]
            self._look = False
        if self._parked:
            wakes = any("ready" in request.topics for request in group)
            group += self._unpark(connection, known=wakes)
        return group

    def _time_to_next_look(self, connection: apsw.Connection) -> float | None:
        if not self._parked:
            return None
        patience = min(request.patience for request in self._parked) - self._time()
        return max(0.0, min(self._poll, patience, self._may_claim_in(connection)))

    def _may_claim_in(self, connection: apsw.Connection) -> float:
        queues = {queue for request in self._parked for queue in request.queues}
        try:
            return self._waits(connection, sorted(queues))
        except apsw.Error:
            return self._poll  # the transaction that comes next says what is the matter

    def _unpark(self, connection: apsw.Connection, *, known: bool) -> list[Request]:
        """Return the parked requests if there may be jobs for them; answer the impatient ones."""
        found = known or self._may_claim_in(connection) <= 0
        parked, self._parked = self._parked, []
        if found:
            return parked
        now = self._time()
        self._parked = [request for request in parked if request.patience > now]
        resolve_all((request.reply, (), None) for request in parked if request.patience <= now)
        return []

    def _write(self, connection: apsw.Connection, group: list[Request]) -> None:
        """Write a group in one transaction, or its members alone when the disk is full."""
        if not group:
            return
        try:
            outcomes = self._transact(connection, group)
        except apsw.FullError:
            for request in group:
                self._write_alone(connection, request)
        except Exception as error:  # noqa: BLE001 - it is told to all whom it concerns
            self._break(group, error)
        else:
            self._finish(outcomes)
            self._yield_to_others(connection)

    def _write_alone(self, connection: apsw.Connection, request: Request) -> None:
        while self._failure is None:
            try:
                outcomes = self._transact(connection, [request])
            except apsw.FullError:
                if request.ends and self._reserve.spend():
                    continue
                request.reply.fail(StorageFull("the disk is full: nothing was written"))
            except Exception as error:  # noqa: BLE001 - as above
                self._break([request], error)
            else:
                self._finish(outcomes)
            return
        request.reply.fail(self._failure)

    def _transact(
        self, connection: apsw.Connection, group: list[Request]
    ) -> list[tuple[Request, Outcome]]:
        """Run requests in one transaction; return their outcomes, to be told once it is durable."""
        outcomes: list[tuple[Request, Outcome]] = []
        whole = not any(request.accepts for request in group) or self._reserve.whole()
        accepted = [request for request in group if whole or not request.accepts]
        sync = self._sync_for(accepted)
        self._wal.begin(sync)
        self._begin(connection)
        try:
            for unit in _units(accepted):
                outcomes += self._run_unit(connection, unit, alone=len(accepted) == len(unit))
        except BaseException:
            roll_back(connection)
            raise
        self._commit(connection, accepted, sync)
        if not whole:
            refusal = StorageFull("the disk is full: no new work is accepted until there is space")
            outcomes += [(r, (r.reply, None, refusal)) for r in group if r.accepts]
        return outcomes

    def _run_unit(
        self, connection: apsw.Connection, unit: list[Request], *, alone: bool
    ) -> list[tuple[Request, Outcome]]:
        """Run requests that are written as one; each by itself when that is refused."""
        if not alone:
            connection.execute("savepoint unit").fetchall()
        try:
            if len(unit) == 1:
                answer = run(connection, unit[0].plan())
            else:
                answer = run(connection, self._join([m for r in unit for m in r.messages]))
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NotADBError):
            raise
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked for it
            self._undo_unit(connection, alone=alone)
            if len(unit) == 1:
                told = trouble(error).error if isinstance(error, apsw.Error) else error
                return [(unit[0], (unit[0].reply, None, told))]
            if alone:
                self._begin(connection)
            return [o for r in unit for o in self._run_unit(connection, [r], alone=False)]
        if not alone:
            connection.execute("release unit").fetchall()
        return [(r, (r.reply, answer, None)) for r in unit]

    @staticmethod
    def _undo_unit(connection: apsw.Connection, *, alone: bool) -> None:
        if alone:
            roll_back(connection)
        else:
            connection.execute("rollback to unit").fetchall()
            connection.execute("release unit").fetchall()

    def _begin(self, connection: apsw.Connection) -> None:
        """Take the write lock; poll for it, as SQLite's own waiting starves late comers."""
        deadline = self._time() + _BUSY_SECONDS
        pause = _BACKOFF_FIRST
        while True:
            try:
                connection.execute("begin immediate").fetchall()
            except apsw.BusyError:
                if self._time() > deadline:
                    raise EngineBusy(
                        f"another process held the write lock for {_BUSY_SECONDS:.0f} s: nothing"
                        " was written; is one of them suspended?"
                    ) from None
                self._nothing.wait(pause)
                pause = min(_BACKOFF_LAST, pause * 2)
            else:
                return

    def _sync_for(self, group: Sequence[Request]) -> Sync:
        """Return when a group has to be synced, by what it promises."""
        if not all(request.queues or request.messages for request in group):
            sync: Sync = "before"
        elif any(request.messages for request in group):
            sync = "after"
        else:
            sync = "never" if self._unsynced < _MOST_UNSYNCED else "before"
        self._unsynced = self._unsynced + 1 if sync == "never" else 0
        return sync

    def _commit(self, connection: apsw.Connection, group: list[Request], sync: Sync) -> None:
        if not connection.in_transaction:
            return  # its only unit was refused
        try:
            connection.execute("commit").fetchall()
            # Before anybody is answered: they may end the process.
            if topics := dict.fromkeys(topic for request in group for topic in request.topics):
                self._hint(topics)
            if sync == "after":
                self._wal.sync()
        except apsw.FullError:
            roll_back(connection)
            raise
        except (apsw.Error, OSError) as error:
            ids = [job_id for request in group for job_id in ids_of(request.writes)]
            raise OutcomeUnknown(
                f"the commit of {len(ids)} jobs failed in a way that leaves open whether it"
                f" happened ({error}): reopen, and ask `app.job(id)` for each",
                ids,
            ) from error

    def _yield_to_others(self, connection: apsw.Connection) -> None:
        """Leave a gap in which another process that waits for the lock can take it."""
        try:
            version = read_number(connection, "pragma data_version")
        except apsw.Error:
            return  # the commit before it stands; the next transaction says what is the matter
        if version != self._seen_version:
            self._seen_version = version
            if self._waiting:
                self._nothing.wait(_COURTESY)

    def _finish(self, outcomes: list[tuple[Request, Outcome]]) -> None:
        """Tell everybody what became of their requests; keep the patient ones."""
        now = self._time()
        told: list[Outcome] = []
        for request, outcome in outcomes:
            if outcome[1] == () and outcome[2] is None and request.patience > now:
                self._parked.append(request)
            else:
                told.append(outcome)
        resolve_all(told)

    def _break(self, group: list[Request], error: Exception) -> None:
        """Tell a group that its transaction failed, and stop when the storage is in trouble."""
        told = trouble(error)
        for request in group:
            request.reply.fail(_own(told.error, request))
        if told.final:
            self._fail(EngineClosed(f"the engine stopped after a failure ({error}): open it again"))

    def _fail(self, failure: EngineError) -> None:
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify()
        self._let_go()

    def _let_go(self) -> None:
        """Answer whoever still waits: nobody waits for ever."""
        left = [*self._parked, *self._waiting]
        self._parked, self._waiting = [], deque()
        failure = self._failure
        for request in left:
            if failure is not None:
                request.reply.fail(failure)
            elif request.patience:
                request.reply.resolve(())
            else:
                request.reply.fail(EngineClosed("the engine was closed before this was written"))


def _own(error: HeadraceError, request: Request) -> HeadraceError:
    """Each caller is told of the unknown outcome of its own jobs."""
    if isinstance(error, OutcomeUnknown):
        return OutcomeUnknown(str(error), ids_of(request.writes))
    return error


def _units(group: Sequence[Request]) -> list[list[Request]]:
    """Part a group into what is written as one: all new jobs together; claims come last."""
    sends = [request for request in group if request.messages]
    claims = [[request] for request in group if request.queues]
    others = [[request] for request in group if not request.messages and not request.queues]
    return [*others, *([sends] if sends else []), *claims]
