"""Small things that are remembered."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.engine import Entry
from headrace.engines.postgresql.plan import Moment, Plan, do, document
from headrace.errors import Conflict, EngineBusy
from headrace.write import Delete, Put, Stored

_LAST_CHARACTER = "\U0010ffff"
_SURROGATES = range(0xD800, 0xE000)
_ATTEMPTS = 10


def put(write: Put, moment: Moment) -> Plan[Stored]:
    """Remember an entry, if it has the expected version now."""
    after = write.expires_after
    expires = None if after is None else moment.now + after
    for _ in range(_ATTEMPTS):
        version, is_there = yield from _locked(write.key, moment.now)
        _check(write.key, version, write.expect)
        if is_there:
            yield do("entry_update", write.key, write.value, version + 1, expires)
            return Stored(version + 1)
        # A rival's open transaction is awaited here.
        if (yield do("entry_insert", write.key, write.value, expires)):
            return Stored(1)
    raise EngineBusy(f"entry {write.key!r} comes and goes all the time; try again")


def delete(write: Delete, moment: Moment) -> Plan[Stored]:
    """Forget an entry, if it has the expected version now."""
    version, _ = yield from _locked(write.key, moment.now)
    _check(write.key, version, write.expect)
    yield do("entry_delete", write.key)
    return Stored(0)


def _locked(key: str, now: float) -> Plan[tuple[int, bool]]:
    """Lock an entry; return its version, 0 when it has expired, and whether its row is there."""
    rows = yield do("entry_lock", key)
    if not rows:
        return 0, False
    ((version, expires),) = rows
    return (0 if expires is not None and expires <= now else version), True


def _check(key: str, version: int, expect: int | None) -> None:
    if expect is not None and version != expect:
        raise Conflict(f"entry {key!r} has version {version}, not {expect}: read it and try again")


def load(keys: Sequence[str], moment: Moment) -> Plan[dict[str, Entry]]:
    """Return entries by key, but for those that have expired."""
    rows = yield do("entries_of", document(list(keys)), moment.now)
    return {row[0]: Entry(*row) for row in rows}


def scan(prefix: str, limit: int, after: str, moment: Moment) -> Plan[tuple[Entry, ...]]:
    """Return the entries whose keys begin with a prefix, in order."""
    rows = yield do("entries", after, prefix, _end_of(prefix), moment.now, limit)
    return tuple(Entry(*row) for row in rows)


def _end_of(prefix: str) -> str | None:
    """Return the first text after all that begin with a prefix; None if there is no such text."""
    head = prefix.rstrip(_LAST_CHARACTER)
    if not head:
        return None
    following = ord(head[-1]) + 1
    return head[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
