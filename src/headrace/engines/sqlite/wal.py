"""The write-ahead log: which commits wait for the disk, and when.

A transaction is visible once it is in the log, and safe once the log is synced. SQLite at
`synchronous=FULL` does both in this order: sync, then show. Not all need that:

- A claim promises nothing to anybody. Should a power cut take it, the job is ready again, and the
  claim's worker is gone as well. So it is not synced at all; the next boot's tokens begin so far
  above the last one known that none is handed out twice.
- New jobs are promised to nobody before their submitter is answered. They are shown first, so that
  another process can already begin with them while the log is synced.

Everything else is synced before anybody can see it: nobody shall be told of an outcome that a power
cut takes back.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Literal, Protocol

import apsw

from headrace.engines.sqlite.guard import exempt

Sync = Literal["before", "after", "never"]
"""When a commit is synced: before others see it, after that, or not by itself."""


class LogFile(Protocol):
    """The log as a file to be synced."""

    def sync(self) -> None:
        """Return once all that was written is on the disk."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Wal:
    """The log as one connection writes it.

    Args:
        connection: stays open for as long as this is used, so that the file stays the same.
        path: the database.
        vfs: name of a registered SQLite VFS; "" for the system's files.
        durable: whether commits are synced at all.
    """

    def __init__(self, connection: apsw.Connection, path: Path, vfs: str, *, durable: bool) -> None:
        self._connection = connection
        self._path = Path(f"{path}-wal")
        self._vfs = vfs
        self._durable = durable
        self._waits = durable
        self._file: LogFile | None = None

    def begin(self, sync: Sync) -> None:
        """Have the transaction that comes next synced as asked for."""
        waits = self._durable and sync == "before"
        if waits != self._waits:
            level = "full" if waits else "normal"
            self._connection.execute(f"pragma synchronous = {level}").fetchall()
            self._waits = waits

    def sync(self) -> None:
        """Return once every commit up to now is on the disk.

        Raises:
            apsw.IOError, OSError: it cannot be told whether they are.
        """
        if not self._durable:
            return
        if self._file is None:
            # Not earlier: it has been written to, so it exists, and nobody removes it any more.
            self._file = _VfsFile(self._path, self._vfs) if self._vfs else _SystemFile(self._path)
        self._file.sync()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


class _SystemFile:
    """The log on a file system: other threads run while it is synced."""

    def __init__(self, path: Path) -> None:
        # SQLite keeps no locks on the log, so this drops none.
        with exempt():
            self._descriptor = os.open(path, os.O_RDONLY)

    def sync(self) -> None:
        if sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 - not on every system

            fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class _VfsFile:
    """The log as a VFS has it, which may not be a file."""

    def __init__(self, path: Path, vfs: str) -> None:
        flags = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE
        self._file = apsw.VFSFile(vfs, str(path), [flags, 0])

    def sync(self) -> None:
        self._file.xSync(apsw.SQLITE_SYNC_NORMAL)

    def close(self) -> None:
        with contextlib.suppress(apsw.Error):
            self._file.xClose()
