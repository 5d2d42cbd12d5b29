"""A faulty disk for SQLite: an apsw VFS that records, fails, fills up and slows down on demand.

A connection opened with `vfs=disk.name` does its real work through the default VFS, while every
write, truncate, sync and delete is recorded for `power.cuts`. It sees this process only. The
wal-index is shared memory, which a VFS written in Python cannot touch; a power cut empties it
anyway.
"""

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from unittest.mock import patch

import apsw

from tests.faults.recording import (
    DirectorySynced,
    EntriesChanged,
    Recording,
    Synced,
    SyncFailed,
    Truncated,
    Written,
)

Call = Literal["sync", "write", "read"]

CODES: dict[Call, int] = {
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "write": apsw.SQLITE_IOERR_WRITE,
    "read": apsw.SQLITE_IOERR_READ,
}

# SQLite's own VFS syncs the directory at the first sync of a file opened with one of these.
SYNCS_DIRECTORY = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL


@dataclass
class _Failure:
    """One failure to come: of the n-th call from now on files whose name ends with `suffix`."""

    countdown: int
    suffix: str

    def strikes(self, path: str) -> bool:
        self.countdown -= path.endswith(self.suffix)
        if self.countdown == 0:
            self.countdown = -1
            return True
        return False


class Disk(apsw.VFS):
    """A registered VFS with faults to switch on; as a context manager it unregisters itself.

    After `room` more writes, each fails with SQLITE_FULL, as on a disk where even an overwrite
    needs new blocks; None is room for all. Each sync takes `sync_seconds` longer.
    """

    def __init__(self) -> None:
        self.name = f"faulty-{id(self):x}"
        self.recording = Recording()
        self.room: int | None = None
        self.sync_seconds = 0.0
        self._failures: dict[Call, _Failure] = {}
        self._inodes: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        super().__init__(self.name, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.unregister()

    def fail(self, call: Call, nth: int = 1, *, suffix: str = "") -> None:
        """Fail the `nth` such call from now, once, on files that end with `suffix`, with EIO."""
        self._failures[call] = _Failure(nth, suffix)

    def settle(self) -> None:
        """Declare everything up to now durable, as after a quiet minute."""
        with self._lock:
            self.recording.events += [Synced(inode) for inode in self._inodes.values()]
            self.recording.events.append(DirectorySynced())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record as well what Python itself does to files: links, deletions and syncs."""
        link, unlink, fsync = os.link, os.unlink, os.fsync

        def linked(source: Path, target: Path) -> None:
            link(source, target)
            with self._lock:
                inode = self._inodes[str(target)] = self._inodes[str(source)]
                self.recording.events.append(EntriesChanged({str(target): inode}))

        def unlinked(path: Path) -> None:
            unlink(path)
            with self._lock:
                if self._inodes.pop(str(path), None):
                    self.recording.events.append(EntriesChanged({str(path): None}))

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            inode = self._inodes.get(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            self.recording.events.append(Synced(inode) if inode else DirectorySynced())

        with (
            patch("os.link", linked),
            patch("os.unlink", unlinked),
            patch("os.fsync", synced),
        ):
            yield

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's name
        """Open a file; without a name it is a temporary one, which no power cut preserves."""
        if name is None:
            return apsw.VFSFile("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        existed = Path(path).exists()
        opened = _RecordedFile(self, path, name, flags)
        opened.inode = self._inode(path, opened if existed else None)
        return opened

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - apsw's signature
        """Delete a file and, if asked, sync its directory."""
        super().xDelete(filename, syncdir)
        with self._lock:
            self._inodes.pop(filename, None)
            self.recording.events.append(EntriesChanged({filename: None}))
            if syncdir:
                self.recording.events.append(DirectorySynced())

    def strike(self, call: Call, path: str) -> None:
        """Fail this call if a failure is due.

        Raises:
            apsw.FullError: it is a write, and the disk is full.
            apsw.IOError: `fail` asked for it.
        """
        with self._lock:
            if call == "write" and self.room is not None:
                self.room -= 1
                if self.room < 0:
                    raise _error(apsw.SQLITE_FULL)
            failure = self._failures.get(call)
            struck = failure is not None and failure.strikes(path)
        if struck:
            raise _error(CODES[call])

    def _inode(self, path: str, existing: "_RecordedFile | None") -> int:
        with self._lock:
            if path in self._inodes:
                return self._inodes[path]
            inode = self._inodes[path] = next(self._numbers)
            if existing is None:
                self.recording.events.append(EntriesChanged({path: inode}))
            else:
                self.recording.names[path] = inode
                self.recording.contents[inode] = existing.content()
            return inode


class _RecordedFile(apsw.VFSFile):
    """An open file that does the real thing and writes it down."""

    inode: int

    def __init__(
        self, disk: Disk, path: str, name: str | apsw.URIFilename, flags: list[int]
    ) -> None:
        self._disk = disk
        self._events = disk.recording.events
        self._path = path
        self._syncs_directory = bool(flags[0] & SYNCS_DIRECTORY)
        super().__init__("", name, flags)

    def content(self) -> bytes:
        """Read all of it through SQLite, as an `open` here would drop the process's locks."""
        size = self.xFileSize()
        return super().xRead(size, 0) if size else b""

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        """Read."""
        self._disk.strike("read", self._path)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        """Write, and record it."""
        self._disk.strike("write", self._path)
        super().xWrite(data, offset)
        self._events.append(Written(self.inode, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        """Truncate, and record it."""
        super().xTruncate(newsize)
        self._events.append(Truncated(self.inode, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        """Sync, and record whether it came to pass."""
        time.sleep(self._disk.sync_seconds)
        try:
            self._disk.strike("sync", self._path)
        except apsw.IOError:
            self._events.append(SyncFailed(self.inode))
            raise
        super().xSync(flags)
        self._events.append(Synced(self.inode))
        if self._syncs_directory:
            self._syncs_directory = False
            self._events.append(DirectorySynced())


def _error(code: int) -> Exception:
    # What a VFS raises reaches the caller as it is; `exception_for` gives it the codes it needs.
    return apsw.exception_for(code)
