"""The memory engine: the contract's plainest reading, and the model of all other engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from headrace.clock import Clock, SystemClock
from headrace.engine import Capabilities, Hint, Inspection, Maintained, Topic, Tx
from headrace.engines.memory.core import Core
from headrace.engines.memory.reads import Reads
from headrace.errors import Unsupported, UsageError
from headrace.ids import Ids
from headrace.reply import Reply
from headrace.write import Lease, Write

A = TypeVar("A")


class MemoryEngine(Reads):
    """Keeps everything in this process, and forgets it when it is closed.

    Every reply is there at once, but for leases that wait. Hints are given in the thread whose
    call changed something.

    Args:
        clock: what tells the time.
        ids: where the names of claims come from.
    """

    def __init__(self, *, clock: Clock | None = None, ids: Ids | None = None) -> None:
        clock = clock or SystemClock()
        super().__init__(Core(clock, ids or Ids(clock)))

    @property
    def capabilities(self) -> Capabilities:
        """What it can do: everything that needs no second process."""
        return Capabilities(
            durable="never", shared="never", transaction="native", adopt="never", backup="never"
        )

    def open(self) -> Reply[None]:
        """Begin, with nothing in it unless it is open already."""
        self._core.open()
        return Reply.of(None)

    def close(self) -> Reply[None]:
        """Forget everything; leases that wait fail with `EngineClosed`."""
        self._core.close()
        return Reply.of(None)

    def lease(
        self, queues: Sequence[str], *, limit: int, seconds: float, holder: str, wait: float = 0.0
    ) -> Reply[tuple[Lease, ...]]:
        """Claim jobs: highest priority first, then oldest, a fair share from each queue."""
        names = tuple(queues)
        return self._core.lease(partial(self._core.claim, names, limit, seconds, holder), wait)

    def commit(self, writes: Sequence[Write[Any]], tx: Tx | None = None) -> Reply[tuple[Any, ...]]:
        """Apply writes atomically; with `tx`, check them now and apply them at its commit."""
        if tx is None:
            return self._core.run(lambda: self._core.write(writes))
        if not (isinstance(tx, MemoryTx) and tx.belongs_to(self._core)):
            return Reply.failed(UsageError("this transaction was begun by another engine"))
        return tx.add(writes)

    def apply(self, write: Write[A], tx: Tx | None = None) -> Reply[A]:
        """Commit one write, and answer only to it."""
        answer: Reply[A] = self.commit((write,), tx).map(lambda answers: answers[0])
        return answer

    def begin(self) -> Tx:
        """Begin a transaction of Headrace's own writes; there is no SQL here."""
        return MemoryTx(self._core)

    def adopt(self, connection: object) -> Tx:
        """Refuse what it did not begin: there is no database whose connection it could be."""
        if isinstance(connection, MemoryTx):
            return connection
        raise Unsupported(
            f"the memory engine cannot join the transaction of a {type(connection).__name__}: use"
            " PostgreSQL, and in tests a schema of it"
        )

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Call `hint()` when something may have changed, until the returned function is called."""
        return self._core.watch(topic, hint)

    def maintain(self) -> Reply[Maintained]:
        """Reap, expire and prune. What other calls reaped and expired before is counted here."""
        return self._core.run(self._core.maintain)

    def inspect(self) -> Reply[Inspection]:
        """Tell what `headrace doctor` prints."""
        return self._core.run(
            lambda: Inspection(
                engine="memory",
                location="this process",
                settings={},
                guarantee={
                    "accepted job survives a killed process": "no",
                    "accepted job survives a power cut": "no",
                    "survives the loss of the machine": "no",
                    "effects in ctx.transaction()": "gone with the process",
                },
            )
        )

    def backup(self, target: Path) -> Reply[None]:
        """Refuse: there is nothing on disk to copy."""
        return Reply.failed(
            Unsupported(f"the memory engine cannot back up to {target}: use SQLite")
        )


class MemoryTx:
    """Writes that wait for their commit. They are checked when they come, and again then.

    A refusal ends it: whoever goes on must not believe that half of it will be written.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._writes: list[Write[Any]] = []
        self._ended: BaseException | None = None

    def belongs_to(self, core: Core) -> bool:
        """Return whether it was begun by the engine of this core."""
        return self._core is core

    def add(self, writes: Sequence[Write[Any]]) -> Reply[tuple[Any, ...]]:
        """Gather writes; the answers are what they would be answered now."""
        if self._ended is not None:
            return Reply.failed(self._ended)
        gathered = [*self._writes, *writes]
        reply = self._core.run(lambda: self._core.rehearse(gathered)[len(self._writes) :])
        self._writes, self._ended = gathered, reply.error
        return reply

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Reply[list[tuple[Any, ...]]]:
        """Refuse: there is no SQL here."""
        text = f"the memory engine has no SQL to run {sql:.40} with {len(parameters)} parameters"
        return Reply.failed(Unsupported(text))

    def commit(self) -> Reply[None]:
        """Apply what was gathered, all or nothing."""
        if self._ended is not None:
            return Reply.failed(self._ended)
        self._ended = _over()
        return self._core.run(lambda: self._core.write(self._writes)).map(lambda _: None)

    def rollback(self) -> Reply[None]:
        """Forget what was gathered; harmless after the end."""
        self._ended = self._ended or _over()
        return Reply.of(None)


def _over() -> UsageError:
    return UsageError("this transaction has ended; begin another one")
