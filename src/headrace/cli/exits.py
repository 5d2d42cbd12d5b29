"""Exit: what the exit code of a command says. `docs/reference/cli.md` has the table."""

from __future__ import annotations

from enum import IntEnum

import click

from headrace.errors import (
    EngineError,
    HeadraceError,
    JobFailed,
    JobNotFound,
    Refused,
    ResultTimeout,
    UsageError,
)


class NoDatabase(HeadraceError):
    """There is nothing yet where the URL points; a command that looks must not make it."""


class Exit(IntEnum):
    """Exit codes of `headrace`.

    Attributes:
        OK: done.
        FAILED: a job is dead or cancelled, or a check found a difference.
        USAGE: the command line, a setting or the program must change.
        NOT_FOUND: there is no such job, or no database.
        REFUSED: nothing was written: queue or disk full, duplicate, too late.
        ENGINE: the storage is in trouble, or whether it has written is not known.
        TIMEOUT: what was waited for has not happened in time.
        BUG: an error that nobody foresaw.
        INTERRUPTED: Ctrl-C, as shells count it.
        PIPE: whoever read the output went away, as shells count it.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    ENGINE = 5
    TIMEOUT = 6
    BUG = 70
    INTERRUPTED = 130
    PIPE = 141

    @classmethod
    def of(cls, error: BaseException) -> Exit:
        """Return the code that says what kind of error it is."""
        return next((code for kind, code in _CODES if isinstance(error, kind)), cls.BUG)


# The first that fits counts.
_CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (JobFailed, Exit.FAILED),
    (UsageError, Exit.USAGE),
    (click.ClickException, Exit.USAGE),
    (JobNotFound, Exit.NOT_FOUND),
    (NoDatabase, Exit.NOT_FOUND),
    (Refused, Exit.REFUSED),
    (EngineError, Exit.ENGINE),
    (ResultTimeout, Exit.TIMEOUT),
    (HeadraceError, Exit.ENGINE),
    (OSError, Exit.ENGINE),
    (KeyboardInterrupt, Exit.INTERRUPTED),
    (click.Abort, Exit.INTERRUPTED),
)
