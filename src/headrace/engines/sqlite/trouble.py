"""What SQLite's errors mean to callers."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from headrace.errors import (
    EngineBusy,
    EngineError,
    HeadraceError,
    OutcomeUnknown,
    StorageCorrupt,
    StorageFull,
)


class Trouble(NamedTuple):
    """An error for callers, and whether the engine may go on."""

    error: HeadraceError
    final: bool


def trouble(error: Exception) -> Trouble:
    """Return what a failed transaction, that was rolled back, means."""
    if isinstance(error, HeadraceError):
        return Trouble(error, final=isinstance(error, OutcomeUnknown))
    if lacks_space(error):
        return Trouble(StorageFull("the disk is full: nothing was written"), final=False)
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        text = f"the database is damaged ({error}): stop, keep the files, restore a backup"
        return Trouble(StorageCorrupt(text), final=True)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return Trouble(
            EngineBusy(f"the database is locked ({error}): nothing was written"), final=False
        )
    if isinstance(error, apsw.IOError):
        text = f"the disk failed before the commit ({error}): nothing was written; check the disk"
        return Trouble(EngineError(text), final=True)
    what = f"SQLite: {error}" if isinstance(error, apsw.Error) else f"unexpected: {error!r}"
    return Trouble(EngineError(f"{what}; nothing was written"), final=False)


def lacks_space(error: Exception) -> bool:
    """Return whether an error says that the disk is full, be it for the shared memory's file."""
    if isinstance(error, apsw.IOError):
        return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
    return isinstance(error, apsw.FullError)
