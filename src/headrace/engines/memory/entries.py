"""What the store of the memory engine remembers."""

from __future__ import annotations

from operator import itemgetter

import msgspec

from headrace.cargo import MOVE_PREFIX, Keepsake
from headrace.engine import Entry
from headrace.engines.memory.changes import Changes
from headrace.errors import Conflict
from headrace.write import Delete, Put, Stored


class _Kept(msgspec.Struct, frozen=True):
    entry: Entry
    expires: float | None


class Entries:
    """Small things by key. An entry that has expired is not there, swept or not."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._kept: dict[str, _Kept] = {}

    def load(self, key: str, now: float) -> Entry | None:
        """Return what is remembered under a key."""
        kept = self._kept.get(key)
        if kept is None or _gone(kept, now):
            return None
        return kept.entry

    def scan(self, prefix: str, *, limit: int, after: str, now: float) -> tuple[Entry, ...]:
        """Return what is remembered under keys with a prefix, in order."""
        fitting = sorted(key for key in self._kept if key.startswith(prefix) and key > after)
        entries = (self.load(key, now) for key in fitting)
        return tuple(entry for entry in entries if entry is not None)[:limit]

    def put(self, write: Put, now: float) -> Stored:
        """Remember a small thing."""
        version = self._checked(write.key, write.expect, now) + 1
        after = write.expires_after
        entry = Entry(write.key, write.value, version)
        self._replace(write.key, _Kept(entry, None if after is None else now + after))
        return Stored(version)

    def delete(self, write: Delete, now: float) -> Stored:
        """Forget a small thing."""
        self._checked(write.key, write.expect, now)
        self._replace(write.key, None)
        return Stored(0)

    def movable(self) -> list[Keepsake]:
        """Return what may leave for another engine, in order."""
        return [
            Keepsake(key, kept.entry.value, kept.entry.version, kept.expires)
            for key, kept in sorted(self._kept.items(), key=itemgetter(0))
            if not key.startswith(MOVE_PREFIX)
        ]

    def restore(self, keepsake: Keepsake, now: float) -> None:
        """Take in what left another engine, unless there is something of that name."""
        if self.load(keepsake.key, now) is None:
            entry = Entry(keepsake.key, keepsake.value, keepsake.version)
            self._replace(entry.key, _Kept(entry, keepsake.expires))

    def sweep(self, now: float) -> None:
        """Let go of what has expired."""
        self._kept = {key: kept for key, kept in self._kept.items() if not _gone(kept, now)}

    def _checked(self, key: str, expect: int | None, now: float) -> int:
        entry = self.load(key, now)
        version = 0 if entry is None else entry.version
        if expect is not None and expect != version:
            found = f"version {version}" if version else "nothing"
            raise Conflict(f"{key!r}: expected version {expect}, found {found}; load it again")
        return version

    def _replace(self, key: str, new: _Kept | None) -> None:
        old = self._kept.pop(key, None)
        self._changes.note(lambda: self._replace(key, old), "stored")
        if new is not None:
            self._kept[key] = new


def _gone(kept: _Kept, now: float) -> bool:
    return kept.expires is not None and kept.expires <= now
