"""Small things that are remembered."""

from __future__ import annotations

from collections.abc import Sequence

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
    entries = yield from load((key,), now)
    version = entries[key].version if entries else 0
    if expect is not None and version != expect:
        raise Conflict(f"entry {key!r} has version {version}, not {expect}: read it and try again")
    return version


def load(keys: Sequence[str], now: float) -> Plan[dict[str, Entry]]:
    """Return entries by key, but for those that have expired."""
    entries: dict[str, Entry] = {}
    for key in keys:  # a key may be any text, which no batch of parameters can be
        for row in (yield do("entry", key, now)):
            entries[key] = Entry(*row)
    return entries


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
