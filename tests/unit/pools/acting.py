"""A performer that notes what pools ask of it, with runs that are only named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from headrace.pool import Callee


class Actor:
    """Performs runs: functions that are called with nothing, or with a callee.

    Attributes:
        begun: runs in the order in which they began.
        ended: runs that ended.
        hungry: how often the pool asked for more.
    """

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.hungry = 0

    def ask(self) -> None:
        """Count that the pool asked for more."""
        self.hungry += 1

    def perform(self, run: Callable[..., Any]) -> None:
        self.begun.append(run)
        run()
        self.ended.append(run)

    async def perform_async(self, run: Callable[..., Any]) -> None:
        self.begun.append(run)
        try:
            await run()
        finally:
            self.ended.append(run)

    def perform_in(self, run: Callable[..., Any], callee: Callee) -> None:
        self.begun.append(run)
        run(callee)
        self.ended.append(run)


_POOL_THREADS = ("headrace-process", "headrace-task", "headrace-tend", "headrace-thread")


def headrace_threads() -> set[str]:
    """Name the pools' threads that are alive; other tests may have left an engine's behind."""
    return {t.name for t in threading.enumerate() if t.name.startswith(_POOL_THREADS)}
