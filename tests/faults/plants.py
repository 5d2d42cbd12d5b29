"""Bugs to plant in the SQLite engine, so that a test can show that it would find them.

Each function changes the engine's classes; `planted` undoes it, a process that ends need not.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest.mock import patch

import apsw

from headrace.engines.sqlite import SQLiteEngine, database, settling
from headrace.engines.sqlite.ballast import Ballast
from headrace.engines.sqlite.plan import Plan, do
from headrace.engines.sqlite.wal import Wal
from headrace.engines.sqlite.writer import Writer
from headrace.errors import EngineError, HeadraceError, OutcomeUnknown
from headrace.reply import Reply, resolve_all
from headrace.write import Settle

Plant = contextlib.AbstractContextManager[Any]


def answer_before_the_commit() -> Plant:
    """Tell callers what a statement answered, and commit afterwards."""
    original = Writer._run_unit

    def run_unit(self: Writer, *arguments: Any, **options: Any) -> Any:
        outcomes = original(self, *arguments, **options)
        resolve_all(outcome for _, outcome in outcomes)
        return outcomes

    return patch.object(Writer, "_run_unit", run_unit)


def show_and_never_sync() -> Plant:
    """Show new jobs before they are synced, as is right, and then do not sync them."""
    return patch.object(Wal, "sync", lambda _: None)


def hand_out_lost_tokens_again() -> Plant:
    """After a power cut, go on with the tokens where the file left off."""
    return patch.object(database, "_TOKENS_A_BOOT", 0)


def commit_one_by_one() -> Plant:
    """Commit the writes of one commit one after another."""

    def commit(self: SQLiteEngine, writes: Sequence[Any]) -> Reply[tuple[Any, ...]]:
        try:
            return Reply.of(tuple(self.apply(write).wait() for write in writes))
        except HeadraceError as error:
            return Reply.failed(error)

    return patch.object(SQLiteEngine, "commit", commit)


def call_the_unknown_failed() -> Plant:
    """Answer a commit whose outcome nobody knows as one that failed."""
    original = Writer._commit

    def commit(self: Writer, *arguments: Any) -> None:
        try:
            original(self, *arguments)
        except OutcomeUnknown as unknown:
            raise EngineError("nothing was written") from unknown

    return patch.object(Writer, "_commit", commit)


def overlook_a_full_disk() -> Plant:
    """Answer a commit that found no room like any other."""
    original = Writer._commit

    def commit(self: Writer, *arguments: Any) -> None:
        with contextlib.suppress(apsw.FullError):
            original(self, *arguments)

    return patch.object(Writer, "_commit", commit)


def spend_nothing() -> Plant:
    """Never use the storage reserve."""
    return patch.object(Ballast, "spend", lambda _: False)


def settle_stale_leases() -> Plant:
    """Do not ask whether a lease is the newest."""

    def believe(write: Settle) -> Plan[Any]:
        yield do("cancelling_any")
        return settling._Fresh(write.settlements, asked=False)

    return patch.object(settling, "_fresh", believe)


PLANTS: dict[str, Callable[[], Plant]] = {
    plant.__name__: plant
    for plant in (
        answer_before_the_commit,
        commit_one_by_one,
        call_the_unknown_failed,
        overlook_a_full_disk,
        spend_nothing,
        settle_stale_leases,
    )
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant the bug of that name; an empty name plants none."""
    with PLANTS[name]() if name else contextlib.nullcontext():
        yield
