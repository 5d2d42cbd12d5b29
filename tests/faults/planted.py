"""Bugs to plant into a process of ours, each of which a fault test must find: its control."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from unittest.mock import patch

from msgspec import Raw

from headrace.engine import Tx
from headrace.engines.sqlite import plan, settling
from headrace.intake import Intake, Jobs
from headrace.record import State
from headrace.reply import Reply
from headrace.task import Call
from headrace.worker.execution import Execution
from headrace.worker.fetcher import Fetcher
from headrace.worker.heartbeat import Heartbeat
from headrace.worker.run import Run
from headrace.worker.settler import Settler
from headrace.worker.site import Site
from headrace.worker.worker import Worker
from headrace.write import Settlement

BUG = "FAULT_BUG"
"""The environment variable that names the bug of a process."""


def plant(name: str) -> None:
    """Give this process a bug; "" is none."""
    if name:
        _BUGS[name]()


def settles_first() -> None:
    """Call a job succeeded when its run begins, not when it ends."""
    begin = Execution._begin

    def _begin(self: Execution, run: Run) -> Any:
        arguments = begin(self, run)
        done = Settlement(lease=run.lease, to=State.SUCCEEDED, result=Raw(b"0"))
        self._settler.put(run, done)
        return arguments

    _replace(Execution, "_begin", _begin)


def ignores_token() -> None:
    """Accept settlements of stale leases."""

    def do_blindly(name: str, *parameters: object) -> plan.Statement:
        return plan.do(name, "[]") if name == "stale" else plan.do(name, *parameters)

    _replace(settling, "do", do_blindly)
    _replace(Heartbeat, "_lose", lambda *_: None)


def acknowledges_early() -> None:
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

    _replace(Intake, "send", early)


def runs_suspects_together() -> None:
    """Run a job that has lost a lease beside others."""
    _replace(Fetcher, "_run_alone", lambda self, run: self._hand_out([run]))


def drops_at_stop() -> None:
    """Exit at once when it is told to stop."""

    def stop(*_: object, **__: object) -> NoReturn:
        os._exit(0)

    _replace(Worker, "stop", stop)


def never_beats() -> None:
    """Let leases expire under their runs."""
    _replace(Heartbeat, "beat", lambda _: 1.0)


def forgets_when_full() -> None:
    """Throw outcomes away that cannot be written now."""

    def _keep(self: Settler, batch: Sequence[tuple[Run, Settlement]], _: BaseException) -> None:
        self._leases.drop([run for run, _ in batch])

    _replace(Settler, "_keep", _keep)


def ignores_unknown_outcomes() -> None:
    """Go on when nobody knows what the engine has written."""
    _replace(Site, "engine_failed", lambda *_: None)


_BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
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


def _replace(owner: Any, name: str, value: object) -> None:
    patch.object(owner, name, value).start()
