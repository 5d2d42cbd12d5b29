"""Cargo: what leaves one engine to be taken in by another, as one JSON document."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from headrace.record import Record

MOVE_PREFIX = "headrace.move/"
"""Store entries of the move itself begin like this; they stay where they are."""


class Keepsake(msgspec.Struct, frozen=True, omit_defaults=True):
    """A store entry on its way.

    Attributes:
        key: its name.
        value: its bytes; base64 in JSON.
        version: the version it goes on with.
        expires: when it is forgotten, seconds since 1970 UTC; None keeps it.
    """

    key: str
    value: bytes
    version: int
    expires: float | None = None


class Cargo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Jobs that do not run, and store entries, with all that is known of them.

    Attributes:
        token: the highest fencing token that was handed out where they come from.
        jobs: in the order of acceptance; a message's priority is the one that holds, and that of
            a job which no longer expires has no expiry.
        entries: in the order of their keys.
    """

    token: int = 0
    jobs: tuple[Record, ...] = ()
    entries: tuple[Keepsake, ...] = ()


def pack(cargo: Cargo) -> bytes:
    """Return cargo as the JSON document that a store keeps."""
    return msgspec.json.encode(cargo)


def unpack(document: bytes) -> Cargo:
    """Return the cargo that a document holds.

    Raises:
        msgspec.DecodeError: it is none, or of a version that this one cannot read.
    """
    found = msgspec.json.decode(document, type=_Document)
    return Cargo(
        token=found.token, jobs=tuple(map(_record, found.jobs)), entries=tuple(found.entries)
    )


_NOTHING = msgspec.Raw(b"null")


class _Arrival(Record, frozen=True, kw_only=True):
    """A record as it is read: msgspec reads no union of raw JSON and None."""

    result: msgspec.Raw = _NOTHING


class _Document(msgspec.Struct):
    token: int = 0
    jobs: list[_Arrival] = []
    entries: list[Keepsake] = []


def _record(arrival: _Arrival) -> Record:
    known = {name: getattr(arrival, name) for name in Record.__struct_fields__}
    if arrival.result is _NOTHING:  # a task may well have returned null
        known["result"] = None
    return Record(**known)


def expiry(record: Record) -> float | None:
    """Return when it is too late to start a job, seconds since 1970 UTC; None if it never is."""
    after = record.message.expires_after
    return record.message.expires if after is None else record.accepted_at + after


def timeless(record: Record) -> Record:
    """Return the record of a job that no longer expires, because somebody has redriven it."""
    return replace(record, message=replace(record.message, expires=None, expires_after=None))
