"""The contract of an engine: a database that plays several roles, so that they can share a commit.

Everything answers with a `Reply`, at once: a blocking caller waits for it, an async one awaits it.
Every write and read takes or gives many. A fourth role, Log, comes with topics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from headrace.record import Filter, IdPage, Page, QueueStatus, Record, State
from headrace.reply import Reply
from headrace.write import Lease, Write

A = TypeVar("A")

Topic = Literal["ready", "finished", "cancel", "stored"]
Hint = Callable[[], None]
Support = Literal["native", "never"]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do. What is not there is declared here, never silently missing.

    Attributes:
        durable: whether an accepted job survives the end of the process.
        shared: whether several processes can use it at once.
        transaction: `begin()`: user writes, new jobs and a completion in one transaction.
        adopt: `adopt()`: taking part in a transaction of the caller's own connection.
        backup: `backup()` while it runs.
    """

    durable: Support
    shared: Support
    transaction: Support
    adopt: Support
    backup: Support


class Entry(msgspec.Struct, frozen=True):
    """What the store remembers under one key.

    Attributes:
        key: its name.
        value: its bytes.
        version: grows by one with every `Put`, from 1.
    """

    key: str
    value: bytes
    version: int


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What `headrace doctor` prints of an engine: read back, not assumed.

    Attributes:
        engine: its name and version.
        location: where the data is, without secrets.
        settings: what was read back.
        guarantee: the row of the guarantee table that holds, as heading and text.
        warnings: what an operator should know.
    """

    engine: str
    location: str
    settings: dict[str, str]
    guarantee: dict[str, str]
    warnings: tuple[str, ...] = ()


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to the schema of a database.

    Attributes:
        location: where it is, without secrets.
        found: the version that was there before; 0 when there was none.
        version: the version that is there now.
        known: the version that this Headrace brings: if it is greater, a migration is due.
    """

    location: str
    found: int
    version: int
    known: int


class Maintained(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of housekeeping did, as numbers of jobs.

    Attributes:
        reclaimed: leases that had expired.
        expired: waiting jobs that were too late.
        pruned: finished jobs past their retention time.
        more: whether another step would find more to prune.
    """

    reclaimed: int = 0
    expired: int = 0
    pruned: int = 0
    more: bool = False


class Tx(Protocol):
    """A transaction that `commit` accepts. Opaque to all but its engine."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Reply[list[tuple[Any, ...]]]:
        """Run one statement of the user's own and answer with its rows.

        Raises (in the reply):
            TransactionTimeout: the write lock was held too long; everything was rolled back.
            UsageError: it is not one statement, controls the transaction or touches Headrace's own
                tables.
        """
        ...

    def commit(self) -> Reply[None]:
        """Make everything durable."""
        ...

    def rollback(self) -> Reply[None]:
        """Undo everything; harmless after the end."""
        ...


class Queue(Protocol):
    """Gives each message to one worker. Writes: `Send`, `Extend`, `Settle`, `Reclaim`."""

    def lease(
        self, queues: Sequence[str], *, limit: int, seconds: float, holder: str, wait: float = 0.0
    ) -> Reply[tuple[Lease, ...]]:
        """Claim jobs: highest priority first, then oldest, a fair share from each queue.

        A job that lost a lease before is given alone, in an answer of one.

        Args:
            queues: names; unknown ones are empty.
            limit: jobs at most; fewer, if they are large.
            seconds: how long the leases last, unless a message says otherwise.
            holder: the worker's incarnation; every claim id begins with it and a dot.
            wait: seconds to wait for the first job when there is none.
        """
        ...

    def depth(self, queues: Sequence[str] = ()) -> Reply[tuple[QueueStatus, ...]]:
        """Tell how queues are doing; all of them if none is named."""
        ...


class Ledger(Protocol):
    """Knows what became of every job. Writes: the changes to jobs and queues."""

    def get(self, ids: Sequence[str]) -> Reply[dict[str, Record]]:
        """Tell all about jobs, by id; unknown ids are missing."""
        ...

    def states(self, ids: Sequence[str]) -> Reply[dict[str, State]]:
        """Tell only the states of jobs, by id; unknown ids are missing. Cheap for many."""
        ...

    def find(self, where: Filter, *, limit: int = 100, cursor: str | None = None) -> Reply[Page]:
        """List jobs, newest first, a page at a time."""
        ...

    def find_ids(
        self, where: Filter, *, limit: int = 1000, cursor: str | None = None
    ) -> Reply[IdPage]:
        """List only the ids of jobs, newest first, a page at a time. Cheap for many."""
        ...


class Store(Protocol):
    """Remembers small things. Writes: `Put`, `Delete`."""

    def load(self, keys: Sequence[str]) -> Reply[dict[str, Entry]]:
        """Tell what is remembered, by key; what is not there, or has expired, is missing."""
        ...

    def scan(self, prefix: str, *, limit: int = 1000, after: str = "") -> Reply[tuple[Entry, ...]]:
        """Tell what is remembered under keys that begin with `prefix`, in order, `after` a key."""
        ...


class Engine(Queue, Ledger, Store, Protocol):
    """A database that plays all roles."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def open(self) -> Reply[None]:
        """Connect and prepare the schema; again after `close()` or a failure. Idempotent.

        Raises (in the reply):
            StorageUnfit: the storage cannot keep the promises.
            StorageCorrupt: it is damaged, or somebody else's.
        """
        ...

    def close(self) -> Reply[None]:
        """Finish what was handed over, then release everything. Idempotent."""
        ...

    def commit(self, writes: Sequence[Write[Any]], tx: Tx | None = None) -> Reply[tuple[Any, ...]]:
        """Apply writes atomically and durably; with `tx`, as a part of that transaction.

        Answers each write, in order.

        Raises (in the reply):
            Refused: one of the writes was refused; nothing was written.
            StorageFull: there is no room; nothing was written.
            OutcomeUnknown: it may or may not have been written.
        """
        ...

    def apply(self, write: Write[A], tx: Tx | None = None) -> Reply[A]:
        """Commit one write, and answer only to it."""
        ...

    def begin(self) -> Tx:
        """Begin a transaction; its write lock is taken at the first write."""
        ...

    def adopt(self, connection: object) -> Tx:
        """Take part in the transaction of the caller's own connection.

        A blocking connection is used at once, in the thread that calls `commit`; one of asyncio by
        whoever awaits the reply, in that task. It is never used from anywhere else. What `begin()`
        gave is returned as it is.

        Raises:
            Unsupported: this engine joins no transaction of others.
            UsageError: it is no connection that this engine knows.
        """
        ...

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Call `hint()` when something may have changed, until the returned function is called.

        A hint may come too often, late or never: polling behind it must suffice. It is called from
        a thread of the engine and must return at once.
        """
        ...

    def maintain(self) -> Reply[Maintained]:
        """Do a small step of housekeeping: reap expired leases, end expired jobs, prune."""
        ...

    def inspect(self) -> Reply[Inspection]:
        """Tell what `headrace doctor` prints."""
        ...

    def backup(self, target: Path) -> Reply[None]:
        """Write a consistent copy to a new file while everything goes on."""
        ...
