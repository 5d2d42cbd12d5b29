"""Log lines of runs: the last ones are kept as evidence, should the run fail."""

from __future__ import annotations

import logging
from collections import deque
from contextvars import ContextVar
from typing import Any, Protocol

from headrace.json_form import writable
from headrace.message import Message

LINES = 50
_LINE_LIMIT = 1_000
_KEPT = "headrace_kept"


class Held(Protocol):
    """The lease that a run is under, as far as it matters here."""

    @property
    def message(self) -> Message:
        """The job's envelope."""
        ...

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        ...

    @property
    def lost(self) -> int:
        """Leases lost before."""
        ...


class Logged(Protocol):
    """A run, for which log lines are kept."""

    logs: deque[str] | None

    @property
    def lease(self) -> Held:
        """The right to run it."""
        ...

    @property
    def ended(self) -> bool:
        """Whether its function has returned."""
        ...


current: ContextVar[Logged | None] = ContextVar("headrace_run", default=None)
"""The run that the code at hand belongs to: it follows coroutines, and threads they start."""


class LastLines:
    """Keeps the last lines that each run logs, wherever else they go. Costs nothing without lines.

    It looks on where log records are made and is no handler: with a handler at the root logger,
    `logging.basicConfig` would do nothing any more, and warnings would not be shown by themselves.
    """

    def __init__(self) -> None:
        self._format = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s").format
        self._make = logging.getLogRecordFactory()
        self._looking = False

    def start(self) -> None:
        """Look at everything that is logged."""
        self._make = logging.getLogRecordFactory()
        self._looking = True
        logging.setLogRecordFactory(self._look)

    def stop(self) -> None:
        """Look no more."""
        self._looking = False
        # Somebody else may look on, too, through us: then we stay, and look away.
        if logging.getLogRecordFactory() == self._look:
            logging.setLogRecordFactory(self._make)

    def _look(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record = self._make(*arguments, **named)
        run = current.get()
        if run is not None and self._looking and not hasattr(record, _KEPT):
            setattr(record, _KEPT, True)  # of several workers in a process, one keeps it
            self._keep(run, record)
        return record

    def _keep(self, run: Logged, record: logging.LogRecord) -> None:
        try:
            line = writable(self._format(record)[:_LINE_LIMIT])
        except Exception:  # noqa: BLE001 - a bad format is for the handlers to complain about
            return
        if run.logs is None:
            run.logs = deque(maxlen=LINES)
        run.logs.append(line)
