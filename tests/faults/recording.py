"""What a program asked of its disk: the words in which `disk` records and `power` replays."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were written to a file."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    """A file was cut, or grown with zeros, to `size` bytes."""

    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A sync of a file returned without an error."""

    inode: int


@dataclass(frozen=True, slots=True)
class SyncFailed:
    """A sync of a file returned an error."""

    inode: int


@dataclass(frozen=True, slots=True)
class EntriesChanged:
    """Names in the directory now mean other files, in one step (create, delete, rename)."""

    entries: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class DirectorySynced:
    """A sync of the directory returned without an error."""


Event = Written | Truncated | Synced | SyncFailed | EntriesChanged | DirectorySynced


@dataclass
class Recording:
    """What was there at the start, and everything that happened since, in order.

    Files are known by number, because a name can come to mean another file.
    """

    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def moment(self) -> int:
        """Return the number of events up to now; keep it to note when something was promised."""
        return len(self.events)
