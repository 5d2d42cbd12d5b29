"""An engine that writes down what it is asked and answers about leases, outside of itself.

`testify` puts it around the engines of this process; `inquest` judges what it wrote.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch
from weakref import WeakKeyDictionary

import msgspec

from headrace import connect
from headrace.engine import Engine, Tx
from headrace.engines.sqlite import SQLiteEngine
from headrace.record import State
from headrace.reply import Reply
from headrace.write import Extend, Extended, Lease, Reclaim, Reclaimed, Settle, Settlement, Write
from tests.faults.disk import Disk
from tests.faults.history import History, Type

A = TypeVar("A")

HISTORY = "FAULT_HISTORY"
"""The environment variable that names the history."""
SYNCS = "FAULT_SYNCS"
"""The environment variable that names a directory of numbers; see `failing_disk`."""


def testify() -> None:
    """Let Apps of this process have a witness around their engine, from now on."""
    engines = {kind.__name__: f"{__name__}:{kind.__name__}" for kind in (sqlite, postgresql, redis)}
    patch.dict(connect._ENGINES, engines).start()


def sqlite(*arguments: Any, **settings: Any) -> Any:
    """Make an SQLite engine, with a disk that fails if the test wants that, and its witness."""
    disk = failing_disk()
    engine = SQLiteEngine(*arguments, **settings, vfs=disk.name if disk else None)
    return Witness(engine, disk)


def postgresql(*arguments: Any, **settings: Any) -> Any:
    """Make a PostgreSQL engine and its witness."""
    from headrace.engines.postgresql import PostgreSQLEngine  # noqa: PLC0415 - few need its driver

    return Witness(PostgreSQLEngine(*arguments, **settings))


def redis(*arguments: Any, **settings: Any) -> Any:
    """Make a Redis engine and its witness."""
    from headrace.engines.redis import RedisEngine  # noqa: PLC0415 - few need its driver

    return Witness(RedisEngine(*arguments, **settings))


def number_of(lease: Lease) -> int:
    """Return the unique number of a job, as the tasks of `labour` know it."""
    number: int = msgspec.json.decode(lease.message.body)["number"]
    return number


def failing_disk() -> Disk | None:
    """Return a disk of which one sync fails, if the test wants that of this process.

    It leaves a number in a directory for each process that is to fail: which sync that is.
    """
    if SYNCS in os.environ and sys.modules["__main__"].__spec__ is not None:  # not a supervisor
        for due in sorted(Path(os.environ[SYNCS]).iterdir(), key=lambda path: int(path.name)):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                due.unlink()
                disk = Disk()
                disk.fail("sync", int(due.name), suffix="-wal")
                return disk
    return None


class Witness:
    """Records claims, extensions, settlements and reclaims, in the words of `checkers`.

    An answer is written down before whoever asked can see it. All else is the engine's.

    Args:
        engine: what is asked.
        disk: what has to stay as long as the engine.
    """

    def __init__(self, engine: Engine, disk: Disk | None = None) -> None:
        self._engine = engine
        self._disk = disk
        self._history = History(Path(os.environ[HISTORY]))
        self._completing: WeakKeyDictionary[Tx, list[Settlement]] = WeakKeyDictionary()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def lease(
        self, queues: Sequence[str], *, limit: int, seconds: float, holder: str, wait: float = 0.0
    ) -> Reply[tuple[Lease, ...]]:
        """Claim jobs, and record each claim."""
        since = time.monotonic_ns()

        def note(leases: tuple[Lease, ...]) -> tuple[Lease, ...]:
            for lease in leases:
                granted = lease.message.lease or seconds
                told = {"number": number_of(lease), "lost": lease.lost, "seconds": granted}
                self._history.record(Type.OK, "claim", _about(lease, since) | told)
            return leases

        reply = self._engine.lease(queues, limit=limit, seconds=seconds, holder=holder, wait=wait)
        return reply.map(note)

    def apply(self, write: Write[A], tx: Tx | None = None) -> Reply[A]:
        """Commit one write, and record it if it is about leases."""
        since = time.monotonic_ns()
        asked: Write[Any] = write
        if isinstance(asked, Extend):
            return self._engine.apply(write).map(_before(self._extended(asked, since)))
        if isinstance(asked, Reclaim):
            return self._engine.apply(write).map(_before(self._reclaimed(since)))
        if isinstance(asked, Settle) and tx is None:
            settlements = asked.settlements
            return self._settle(settlements, since, lambda: self._engine.apply(write))
        if isinstance(asked, Settle) and tx is not None:
            self._completing.setdefault(tx, []).extend(asked.settlements)
        return self._engine.apply(write, tx)

    def begin(self) -> Tx:
        """Begin a transaction; what it settles is recorded when it commits."""
        tx = self._engine.begin()
        commit = tx.commit

        def recorded() -> Reply[None]:
            return self._settle(self._completing.pop(tx, ()), time.monotonic_ns(), commit)

        vars(tx)["commit"] = recorded
        return tx

    def _settle(
        self, settlements: Iterable[Settlement], since: int, ask: Callable[[], Reply[A]]
    ) -> Reply[A]:
        settled = tuple(settlements)
        self._record_settled(Type.INVOKE, settled, since)
        reply = ask()
        answer: Reply[A] = Reply()

        def note(told: Reply[Any]) -> None:
            if told.error is not None:
                self._record_settled(Type.INFO, settled, since)
                answer.fail(told.error)
            else:
                value = told.wait()
                self._record_settled(Type.OK, settled, since, getattr(value, "lost", ()))
                answer.resolve(value)

        reply.listen(note)
        return answer

    def _record_settled(
        self, kind: Type, settlements: Iterable[Settlement], since: int, lost: Iterable[str] = ()
    ) -> None:
        stale = frozenset(lost)
        for settlement in settlements:
            lease = settlement.lease
            if settlement.to is State.READY and kind is Type.INVOKE:
                self._history.record(Type.INFO, "release", number_of(lease))
            value = _about(lease, since) | {"final": settlement.to.terminal}
            self._history.record(Type.FAIL if lease.job_id in stale else kind, "settle", value)

    def _extended(self, write: Extend, since: int) -> Callable[[Extended], None]:
        def note(extended: Extended) -> None:
            for lease in write.leases:
                if lease.job_id not in extended.lost:
                    told = {"seconds": lease.message.lease or write.seconds}
                    self._history.record(Type.OK, "extend", _about(lease, since) | told)

        return note

    def _reclaimed(self, since: int) -> Callable[[Reclaimed], None]:
        def note(reclaimed: Reclaimed) -> None:
            for job_id in (*reclaimed.returned, *reclaimed.dead):
                self._history.record(Type.OK, "reclaim", {"job": job_id, "since": since})

        return note


def _about(lease: Lease, since: int) -> dict[str, Any]:
    return {"job": lease.job_id, "token": lease.token, "since": since}


def _before(note: Callable[[Any], None]) -> Callable[[A], A]:
    def change(answer: A) -> A:
        note(answer)
        return answer

    return change
