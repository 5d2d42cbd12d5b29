"""What SQLite's errors mean to callers."""

from __future__ import annotations

import apsw
import pytest

from headrace.engines.sqlite.trouble import trouble
from headrace.errors import (
    EngineBusy,
    EngineClosed,
    EngineError,
    HeadraceError,
    OutcomeUnknown,
    StorageCorrupt,
    StorageFull,
)


@pytest.mark.parametrize(
    ("error", "told", "final"),
    [
        (apsw.FullError("no room"), StorageFull, False),
        (apsw.CorruptError("page 7"), StorageCorrupt, True),
        (apsw.NotADBError("file"), StorageCorrupt, True),
        (apsw.BusyError("lock"), EngineBusy, False),
        (apsw.LockedError("lock"), EngineBusy, False),
        (apsw.IOError("sync"), EngineError, True),
        (apsw.ReadOnlyError("file"), EngineError, False),
        (apsw.SQLError("syntax"), EngineError, False),
        (KeyError("mistake of ours"), EngineError, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_becomes_one_of_the_family(
    error: Exception, told: type[HeadraceError], *, final: bool
) -> None:
    found = trouble(error)
    assert type(found.error) is told
    assert found.final is final
    assert str(error.args[0]) in str(found.error) or isinstance(found.error, StorageFull)


def test_our_own_errors_stay_what_they_are() -> None:
    unknown = OutcomeUnknown("who knows", ["a"])
    closed = EngineClosed("closed")
    assert trouble(unknown) == (unknown, True)
    assert trouble(closed) == (closed, False)
