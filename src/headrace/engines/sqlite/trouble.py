"""What SQLite's errors mean to callers."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from headrace.errors import EngineBusy, EngineError, OutcomeUnknown, StorageCorrupt


class Trouble(NamedTuple):
    """An error for callers, and whether the engine may go on."""

    error: EngineError
    final: bool


def trouble(error: apsw.Error | EngineError) -> Trouble:
    """Return what a failed transaction means."""
    if isinstance(error, EngineError):
        return Trouble(error, final=isinstance(error, OutcomeUnknown))
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
    return Trouble(EngineError(f"SQLite: {error}; nothing was written"), final=False)
