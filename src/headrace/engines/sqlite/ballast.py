"""A file that only takes up space, to be given back when the disk is full.

With it, workers can end what they have begun: outcomes are written into the space that the file
gives up. As long as a part of it is spent, no new work is accepted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

_PARTS = 8
_CANNOT_ALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL)  # musl leaves it to the file system
_FLAGS = os.O_RDWR | os.O_NOFOLLOW  # in a folder of many, a link may lead to another file of ours


class Ballast:
    """The reserve of one database; several processes share it through the file's size.

    Args:
        path: the file.
        size: its size in bytes when whole; 0 keeps no reserve.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size

    def left(self) -> int:
        """Return the bytes that are not spent."""
        try:
            found = self.path.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    def whole(self) -> bool:
        """Return whether nothing of it is spent."""
        return self.left() >= self.size

    def spend(self) -> bool:
        """Give back a part of it; return False when nothing is left."""
        left = self.left()
        if not left:
            return False
        try:
            descriptor = os.open(self.path, _FLAGS)
            try:
                os.ftruncate(descriptor, max(0, left - max(1, self.size // _PARTS)))
            finally:
                os.close(descriptor)
        except OSError:
            return False  # somebody else's file: what is in it cannot be given back
        return True

    def fill(self) -> bool:
        """Take the space again, where there is some; return whether it is whole."""
        if self.whole():
            return True
        try:
            descriptor = os.open(self.path, _FLAGS | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            _allocate(descriptor, self.left(), self.size)
        except OSError:
            return False  # half of it would be taken from those who need space now
        finally:
            os.close(descriptor)
        return True


def _allocate(descriptor: int, start: int, end: int) -> None:
    """Take real blocks; on failure leave the file as it was."""
    try:
        _take(descriptor, start, end)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, start)
        raise


def _take(descriptor: int, start: int, end: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, start, end - start)
        except OSError as error:
            if error.errno not in _CANNOT_ALLOCATE:
                raise
        else:
            return
    if os.pwrite(descriptor, b"\1" * (end - start), start) < end - start:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
