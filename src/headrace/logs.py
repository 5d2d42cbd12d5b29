"""Log lines of runs: the last ones are kept as evidence, should the run fail."""

from __future__ import annotations

import logging
from collections import deque
from contextvars import ContextVar
from typing import Protocol

LINES = 50
_LINE_LIMIT = 1_000


class Logged(Protocol):
    """What log lines are kept for."""

    logs: deque[str] | None


current: ContextVar[Logged | None] = ContextVar("headrace_run", default=None)
"""The run that the code at hand belongs to: it follows coroutines, and threads they start."""


class LastLines(logging.Handler):
    """Keeps the last lines that a run logs, wherever else they go. Costs nothing without lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line for the run that logged it, if a run did."""
        run = current.get()
        if run is None:
            return
        if run.logs is None:
            run.logs = deque(maxlen=LINES)
        try:
            run.logs.append(self.format(record)[:_LINE_LIMIT])
        except Exception:  # noqa: BLE001 - as logging does: a bad format must not fail the run
            self.handleError(record)

    def start(self) -> None:
        """Listen to everything that is logged."""
        logging.getLogger().addHandler(self)

    def stop(self) -> None:
        """Listen no more."""
        logging.getLogger().removeHandler(self)
