"""Sight: what was seen of a job at one moment, and how clients are told of it."""

from __future__ import annotations

import msgspec

from headrace.gateway.portrait import encode, etag, outline, portrait
from headrace.job import Progress
from headrace.record import Record, State


class Sight:
    """A job at one moment. However many are told of it, its texts are made once.

    Args:
        record: what the ledger knew.
        progress: what its run had told last; it says nothing of a job that does not run.
        inline: bytes that a result may have to be part of the job.
        at: the moment, seconds since 1970 UTC.

    Attributes:
        record: as above.
        progress: as above; None unless it runs.
        at: as above.
    """

    __slots__ = ("_bodies", "_inline", "_outlines", "at", "progress", "record")

    def __init__(self, record: Record, progress: Progress | None, inline: int, at: float) -> None:
        self.record = record
        self.progress = progress if record.state is State.RUNNING else None
        self.at = at
        self._inline = inline
        self._bodies: dict[str, tuple[bytes, str]] = {}
        self._outlines: dict[str, bytes] = {}

    @property
    def state(self) -> State:
        """Where the job was in its life."""
        return self.record.state

    @property
    def ended(self) -> bool:
        """Whether it had ended."""
        return self.record.state.terminal

    @property
    def result(self) -> msgspec.Raw | None:
        """What it returned, unless that is too large to be told together with the job."""
        result = self.record.result
        return result if result is not None and len(bytes(result)) <= self._inline else None

    def like(self, other: Sight | None) -> bool:
        """Return whether it shows nothing new beside another one."""
        return other is not None and self.record == other.record and self.progress == other.progress

    def body(self, base: str = "") -> bytes:
        """Return the whole job, as `GET /v1/jobs/{job}` answers it."""
        return self._told(base)[0]

    def etag(self, base: str = "") -> str:
        """Return the entity tag of `body`."""
        return self._told(base)[1]

    def outline(self, base: str = "") -> msgspec.Raw:
        """Return the job without what may be large, as JSON."""
        if base not in self._outlines:
            self._outlines[base] = encode(outline(self.record, base))
        return msgspec.Raw(self._outlines[base])

    def _told(self, base: str) -> tuple[bytes, str]:
        if base not in self._bodies:
            body = encode(portrait(self.record, self.progress, self._inline, base))
            self._bodies[base] = body, etag(body)
        return self._bodies[base]
