"""Small things that are remembered."""

from __future__ import annotations

from headrace.engine import Entry
from headrace.engines.sqlite.plan import Plan, do
from headrace.errors import Conflict
from headrace.write import Delete, Put, Stored

_LAST_CHARACTER = "\U0010ffff"
_SURROGATES = range(0xD800, 0xE000)


def put(write: Put, now: float) -> Plan[Stored]:
    """Remember an entry, if it has the expected version now."""
    version = yield from _expected(write.key, write.expect, now)
    expires = None if write.expires_after is None else now + write.expires_after
    yield do("entry_put", write.key, write.value, version + 1, expires)
    return Stored(version + 1)


def delete(write: Delete, now: float) -> Plan[Stored]:
    """Forget an entry, if it has the expected version now."""
    yield from _expected(write.key, write.expect, now)
    yield do("entry_delete", write.key)
    return Stored(0)


def _expected(key: str, expect: int | None, now: float) -> Plan[int]:
    entry = yield from load(key, now)
    version = entry.version if entry else 0
    if expect is not None and version != expect:
        raise Conflict(f"entry {key!r} has version {version}, not {expect}: read it and try again")
    return version


def load(key: str, now: float) -> Plan[Entry | None]:
    """Return an entry, unless it has expired."""
    rows = yield do("entry", key, now)
    return Entry(*rows[0]) if rows else None


def scan(prefix: str, limit: int, after: str, now: float) -> Plan[tuple[Entry, ...]]:
    """Return the entries whose keys begin with a prefix, in order."""
    rows = yield do("entries", after, prefix, _end_of(prefix), now, limit)
    return tuple(Entry(*row) for row in rows)


def _end_of(prefix: str) -> str | None:
    """Return the first text after all that begin with a prefix; None if there is no such text."""
    head = prefix.rstrip(_LAST_CHARACTER)
    if not head:
        return None
    following = ord(head[-1]) + 1
    return head[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
