"""Bugs to plant into what we test, so that a test can show that it would find them.

`planted` has one for a block, `plant` for the life of a process.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn
from unittest.mock import patch

import apsw
from msgspec import Raw

from headrace.engine import Tx
from headrace.engines.sqlite import SQLiteEngine, database, settling
from headrace.engines.sqlite.ballast import Ballast
from headrace.engines.sqlite.plan import Plan, do
from headrace.engines.sqlite.wal import Wal
from headrace.engines.sqlite.writer import Writer
from headrace.errors import EngineError, HeadraceError, OutcomeUnknown
from headrace.intake import Intake, Jobs
from headrace.record import State
from headrace.reply import Reply, resolve_all
from headrace.task import Call
from headrace.worker.execution import Execution
from headrace.worker.fetcher import Fetcher
from headrace.worker.heartbeat import Heartbeat
from headrace.worker.run import Run
from headrace.worker.settler import Settler
from headrace.worker.site import Site
from headrace.worker.worker import Worker
from headrace.write import Settle, Settlement

Plant = contextlib.AbstractContextManager[Any]

BUG = "FAULT_BUG"
"""The environment variable that names the bug of a process."""


def plant(name: str) -> None:
    """Give this process a bug for as long as it lives; "" is none."""
    if name:
        contextlib.ExitStack().enter_context(PLANTS[name]())


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Have the bug of that name for a block; "" is none."""
    with PLANTS[name]() if name else contextlib.nullcontext():
        yield


# Of the engine ------------------------------------------------------------------------------------


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


def repeats_lost_commits() -> Plant:
    """With PostgreSQL, take a commit whose answer was lost for one that failed, and repeat it."""
    from headrace.engines.postgresql import writer  # noqa: PLC0415 - few need its driver

    begin = writer.Writer._begin

    def without_receipt(self: writer.Writer, link: Any, _: str, **options: Any) -> float:
        return begin(self, link, "", **options)

    both = contextlib.ExitStack()
    both.enter_context(patch.object(writer.Writer, "_begin", without_receipt))
    both.enter_context(patch.object(writer.Writer, "_resolve", lambda *_: False))
    return both


# Of workers and submitters ------------------------------------------------------------------------


def settles_first() -> Plant:
    """Call a job succeeded when its run begins, not when it ends."""
    begin = Execution._begin

    def _begin(self: Execution, run: Run) -> Any:
        arguments = begin(self, run)
        done = Settlement(lease=run.lease, to=State.SUCCEEDED, result=Raw(b"0"))
        self._settler.put(run, done)
        return arguments

    return patch.object(Execution, "_begin", _begin)


def ignores_token() -> Plant:
    """Accept settlements of stale leases."""
    both = contextlib.ExitStack()
    both.enter_context(settle_stale_leases())
    both.enter_context(patch.object(Heartbeat, "_lose", lambda *_: None))
    return both


def acknowledges_early() -> Plant:
    """Call jobs accepted before they are committed."""
    send = Intake.send

    def early(
        self: Intake, calls: Sequence[Call[Any]], tx: Tx | None = None
    ) -> tuple[Reply[Any], Jobs]:
        def later() -> None:
            time.sleep(0.5)
            send(self, calls, tx)

        threading.Thread(target=later, daemon=True).start()
        return Reply.of(None), []

    return patch.object(Intake, "send", early)


def runs_suspects_together() -> Plant:
    """Run a job that has lost a lease beside others."""
    return patch.object(Fetcher, "_run_alone", lambda self, run: self._hand_out([run]))


def drops_at_stop() -> Plant:
    """Exit at once when it is told to stop."""

    def stop(*_: object, **__: object) -> NoReturn:
        os._exit(0)

    return patch.object(Worker, "stop", stop)


def never_beats() -> Plant:
    """Let leases expire under their runs."""
    return patch.object(Heartbeat, "beat", lambda _: 1.0)


def forgets_when_full() -> Plant:
    """Throw outcomes away that cannot be written now."""

    def _keep(self: Settler, batch: Sequence[tuple[Run, Settlement]], _: BaseException) -> None:
        self._leases.drop([run for run, _ in batch])

    return patch.object(Settler, "_keep", _keep)


def ignores_unknown_outcomes() -> Plant:
    """Go on when nobody knows what the engine has written."""
    return patch.object(Site, "engine_failed", lambda *_: None)


PLANTS: dict[str, Callable[[], Plant]] = {
    bug.__name__: bug
    for bug in (
        answer_before_the_commit,
        commit_one_by_one,
        call_the_unknown_failed,
        overlook_a_full_disk,
        spend_nothing,
        settle_stale_leases,
        repeats_lost_commits,
        settles_first,
        ignores_token,
        acknowledges_early,
        runs_suspects_together,
        drops_at_stop,
        never_beats,
        forgets_when_full,
        ignores_unknown_outcomes,
    )
}
