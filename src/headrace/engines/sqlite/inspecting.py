"""What `headrace doctor` prints of a database, and backups."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

import apsw

from headrace.engine import Inspection
from headrace.engines.sqlite.ballast import Ballast
from headrace.engines.sqlite.database import SCHEMA_VERSION, Database, file_system
from headrace.errors import StorageFull, UsageError

_WAL_WARNING_BYTES = 256 * 1024 * 1024
_FREE_WARNING = 0.05
_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}

_SYNCED = {
    "power": "outcomes before they are seen, new jobs before the answer, claims with what follows",
    "crash": "at checkpoints",
}

_GUARANTEES = {
    "power": {
        "accepted job survives a killed process": "yes",
        "accepted job survives a power cut": "yes, if the drive honours flushes",
        "survives the loss of the machine": "no: back to the last backup",
        "effects in ctx.transaction()": "exactly once",
    },
    "crash": {
        "accepted job survives a killed process": "yes",
        "accepted job survives a power cut": (
            "no: the last commits may vanish; the file stays whole"
        ),
        "survives the loss of the machine": "no: back to the last backup",
        "effects in ctx.transaction()": "exactly once, but for what a power cut takes",
    },
}
_COMMON_GUARANTEES = {
    "delivery": "at least once",
    "order": "by priority, then acceptance; order keys one after another",
}


def inspect(connection: apsw.Connection, database: Database, ballast: Ballast) -> Inspection:
    """Read back what holds, instead of believing the configuration."""

    def pragma(name: str) -> str:
        return str(connection.execute(f"pragma {name}").fetchall()[0][0])

    synchronous = _SYNCHRONOUS[int(pragma("synchronous"))]
    durability = "power" if synchronous in {"FULL", "EXTRA"} else "crash"
    settings = {
        "durability": durability,
        "journal_mode": pragma("journal_mode"),
        "synchronous": synchronous,
        "synced": _SYNCED[durability],
        "page_size": pragma("page_size"),
        "schema": f"{pragma('user_version')} (this version knows {SCHEMA_VERSION})",
        "file system": file_system(database.path) or "unknown on this system",
        "file": _bytes(database.path),
        "write-ahead log": _bytes(Path(f"{database.path}-wal")),
        "ballast": f"{ballast.left()} of {ballast.size} bytes",
    }
    return Inspection(
        engine=f"SQLite {apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})",
        location=str(database.path),
        settings=settings,
        guarantee=_GUARANTEES[durability] | _COMMON_GUARANTEES,
        warnings=tuple(_warnings(database.path, ballast)),
    )


def _bytes(path: Path) -> str:
    try:
        return f"{path.stat().st_size} bytes"
    except OSError:
        return "none"


def _warnings(path: Path, ballast: Ballast) -> list[str]:
    warnings = []
    if not ballast.whole():
        warnings.append("the storage reserve is spent or cannot be made: free some disk space")
    with contextlib.suppress(OSError):
        wal = Path(f"{path}-wal").stat().st_size
        if wal > _WAL_WARNING_BYTES:
            warnings.append("the write-ahead log is large: does something read for very long?")
    with contextlib.suppress(OSError):
        disk = os.statvfs(path)
        if disk.f_bavail < _FREE_WARNING * disk.f_blocks:
            warnings.append("the disk is nearly full")
    return warnings


def backup(database: Database, target: Path) -> None:
    """Write a snapshot to a new file, whole or not at all.

    Raises:
        UsageError: the target exists already, or cannot be written.
        StorageFull: there is no space for it.
    """
    if target.exists():
        raise UsageError(f"{target} exists: a backup never overwrites; choose another name")
    draft = None
    connection = database.connect()
    try:
        draft = _new_file(target)
        connection.execute("vacuum into ?", (str(draft),)).fetchall()
        _sync(draft)
        _give_name(draft, target)
        _sync(target.parent)
    except apsw.FullError as error:
        raise StorageFull(f"no space for the backup {target}") from error
    except (apsw.CantOpenError, apsw.SQLError, OSError) as error:
        raise UsageError(f"cannot write the backup {target}: {error}") from error
    finally:
        connection.close()
        if draft is not None:
            draft.unlink(missing_ok=True)


def _new_file(target: Path) -> Path:
    """Make an empty file beside the target, for this user alone."""
    descriptor, name = tempfile.mkstemp(prefix=f"{target.name}.new-", dir=target.parent)
    os.close(descriptor)
    return Path(name)


def _give_name(draft: Path, target: Path) -> None:
    """Name the finished file; a name that somebody took meanwhile stays theirs."""
    try:
        os.link(draft, target)
    except OSError as error:
        # FAT, and some file systems of networks, have no links.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP) or target.exists():
            raise
        draft.rename(target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
