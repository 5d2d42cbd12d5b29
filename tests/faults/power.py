"""What a disk holds after the power went: a model over the recording of a program's writes.

Only a sync makes a change durable. Until then each change of a file may have reached the platter,
may not have, or may have reached it in part, sector by sector and in any order; a directory entry
is a change of its own. `cuts` draws such images from a seed, at moments spread over a recording.
A killed process loses nothing that it has written; `kills` gives those images.

Sources: POSIX `fsync`; for `Directory.ORDERED` ext4 with `data=ordered`; for what a failed sync
leaves behind, Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
"""

import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from tests.faults.recording import (
    DirectorySynced,
    EntriesChanged,
    Event,
    Recording,
    Synced,
    SyncFailed,
    Truncated,
    Written,
)

SECTOR = 512
"""Bytes that a drive writes whole or not at all."""

KEEP = (0.0, 0.2, 0.5, 0.8, 1.0)
"""How likely an unsynced change survives; each cut draws one, as the extremes matter most."""

TORN = 0.3
"""How likely a surviving write is torn."""

MEMORY = Path("/dev/shm")  # noqa: S108 - images are written to fresh, unguessable names below it


class Directory(Enum):
    """When a directory entry becomes durable."""

    ORDERED = "like ext4: entries persist in order, and a sync of a file persists its own"
    STRICT = "POSIX to the letter: only a sync of the directory persists an entry"


class Fate(Enum):
    """What becomes of one change when the power goes."""

    PENDING = "not synced: the dice decide"
    DOUBTFUL = "forsaken by a sync that failed: the dice decide, whatever is synced later"
    DURABLE = "synced, and kept in its place because a doubtful change lies below it"


class _Change(NamedTuple):
    change: Written | Truncated
    fate: Fate


class _File:
    """One file: what is durable, and the changes that came after."""

    def __init__(self, durable: bytes = b"") -> None:
        self._durable = bytearray(durable)
        self._changes: list[_Change] = []

    def change(self, change: Written | Truncated) -> None:
        self._changes.append(_Change(change, Fate.PENDING))

    def synced(self) -> None:
        self._decide(Fate.DURABLE)
        kept = [n for n, (_, fate) in enumerate(self._changes) if fate is not Fate.DURABLE]
        certain = kept[0] if kept else len(self._changes)
        for change, _ in self._changes[:certain]:
            _apply(self._durable, change)
        del self._changes[:certain]

    def sync_failed(self) -> None:
        self._decide(Fate.DOUBTFUL)

    def after_cut(self, keep: float, rng: random.Random) -> bytes:
        content = bytearray(self._durable)
        for change, fate in self._changes:
            if fate is Fate.DURABLE:
                _apply(content, change)
            elif rng.random() < keep:
                for piece in _torn(change, rng) if rng.random() < TORN else (change,):
                    _apply(content, piece)
        return bytes(content)

    def _decide(self, fate: Fate) -> None:
        self._changes = [
            _Change(change, fate if old is Fate.PENDING else old) for change, old in self._changes
        ]


def _apply(content: bytearray, change: Written | Truncated) -> None:
    if isinstance(change, Written):
        _grow(content, change.offset)
        content[change.offset : change.offset + len(change.data)] = change.data
    else:
        del content[change.size :]
        _grow(content, change.size)


def _grow(content: bytearray, size: int) -> None:
    content.extend(bytes(max(0, size - len(content))))


def _torn(change: Written | Truncated, rng: random.Random) -> Sequence[Written | Truncated]:
    if isinstance(change, Truncated):
        return (change,)
    start, end = change.offset, change.offset + len(change.data)
    edges = [start, *range(start - start % SECTOR + SECTOR, end, SECTOR), end]
    return [
        Written(change.inode, low, change.data[low - start : high - start])
        for low, high in itertools.pairwise(edges)
        if rng.random() < 0.5
    ]


class Platter:
    """The disk as a recording goes by: `apply` moves on, `after_cut` draws what would be left."""

    def __init__(self, recording: Recording, directory: Directory) -> None:
        self._directory = directory
        self._entries: dict[str, int | None] = dict(recording.names)
        self._pending: list[EntriesChanged] = []
        self._files = {inode: _File(data) for inode, data in recording.contents.items()}

    def apply(self, event: Event) -> None:
        """Move on by one event."""
        match event:
            case Written() | Truncated():
                self._files[event.inode].change(event)
            case Synced():
                self._files[event.inode].synced()
                self._persist_entry_of(event.inode)
            case SyncFailed():
                self._files[event.inode].sync_failed()
            case EntriesChanged():
                self._pending.append(event)
                for inode in event.entries.values():
                    if inode is not None:
                        self._files.setdefault(inode, _File())
            case DirectorySynced():
                self._persist(len(self._pending))

    def after_cut(self, rng: random.Random) -> dict[str, bytes]:
        """Draw the files that are left, by name, if the power goes now."""
        keep = rng.choice(KEEP)
        entries = dict(self._entries)
        for change in self._surviving(rng):
            entries.update(change.entries)
        return {
            name: self._files[inode].after_cut(keep, rng)
            for name, inode in sorted(entries.items())
            if inode is not None
        }

    def _surviving(self, rng: random.Random) -> Sequence[EntriesChanged]:
        if self._directory is Directory.ORDERED:
            return self._pending[: rng.randint(0, len(self._pending))]
        return [change for change in self._pending if rng.random() < 0.5]

    def _persist_entry_of(self, inode: int) -> None:
        if self._directory is Directory.ORDERED:
            named = [n for n, e in enumerate(self._pending) if inode in e.entries.values()]
            self._persist(named[-1] + 1 if named else 0)

    def _persist(self, count: int) -> None:
        for change in self._pending[:count]:
            self._entries.update(change.entries)
        del self._pending[:count]


@dataclass(frozen=True)
class Cut:
    """One power cut: the moment it came and the files that were left."""

    moment: int
    files: dict[str, bytes]

    @contextmanager
    def image(self) -> Iterator[Path]:
        """Write the files to a fresh directory, in memory where possible, and remove it after."""
        where = MEMORY if MEMORY.is_dir() else None
        with tempfile.TemporaryDirectory(prefix="power-cut-", dir=where) as directory:
            for name, content in self.files.items():
                (Path(directory) / Path(name).name).write_bytes(content)
            yield Path(directory)


def cuts(
    recording: Recording,
    *,
    seed: int,
    count: int,
    directory: Directory = Directory.ORDERED,
) -> Iterator[Cut]:
    """Cut the power `count` times, at moments spread over the recording, in order of time.

    The same recording and seed give the same images.
    """
    rng = random.Random(seed)
    platter, done = Platter(recording, directory), 0
    for moment in sorted(rng.randint(0, recording.moment) for _ in range(count)):
        for event in recording.events[done:moment]:
            platter.apply(event)
        done = moment
        yield Cut(moment, platter.after_cut(rng))


def kills(recording: Recording, *, every: int = 1) -> Iterator[Cut]:
    """Kill the program after each event, or after every few: all that it has written is there."""
    entries: dict[str, int | None] = dict(recording.names)
    contents = {inode: bytearray(data) for inode, data in recording.contents.items()}
    for moment in range(recording.moment + 1):
        if moment % every == 0 or moment == recording.moment:
            named = {name: inode for name, inode in entries.items() if inode is not None}
            yield Cut(moment, {name: bytes(contents[inode]) for name, inode in named.items()})
        if moment < recording.moment:
            _carry_out(recording.events[moment], entries, contents)


def _carry_out(
    event: Event, entries: dict[str, int | None], contents: dict[int, bytearray]
) -> None:
    match event:
        case Written() | Truncated():
            _apply(contents[event.inode], event)
        case EntriesChanged():
            entries.update(event.entries)
            for inode in event.entries.values():
                if inode is not None:
                    contents.setdefault(inode, bytearray())
