"""Small things: versions, expiry and undoing."""

import pytest

from headrace.engine import Entry
from headrace.engines.memory.changes import Changes
from headrace.engines.memory.entries import Entries
from headrace.errors import Conflict
from headrace.write import Delete, Put


def test_versions_grow_from_one() -> None:
    entries = Entries(Changes())
    assert [entries.put(Put("k", b""), 0.0).version for _ in range(3)] == [1, 2, 3]
    assert entries.load("k", 0.0) == Entry("k", b"", 3)
    assert entries.delete(Delete("k"), 0.0).version == 0
    assert entries.load("k", 0.0) is None


def test_what_has_expired_is_not_there_swept_or_not() -> None:
    entries = Entries(Changes())
    entries.put(Put("k", b"", expires_after=5.0), 0.0)
    assert entries.load("k", 4.9) is not None
    assert entries.load("k", 5.0) is None
    assert entries.scan("", limit=9, after="", now=5.0) == ()
    entries.sweep(5.0)
    assert entries.load("k", 0.0) is None


def test_a_conflict_tells_both_versions() -> None:
    entries = Entries(Changes())
    with pytest.raises(Conflict, match="expected version 2, found nothing"):
        entries.put(Put("k", b"", expect=2), 0.0)
    entries.put(Put("k", b"", expect=0), 0.0)
    with pytest.raises(Conflict, match="expected version 0, found version 1"):
        entries.delete(Delete("k", expect=0), 0.0)


def test_a_scan_ends_at_its_limit_without_counting_what_has_expired() -> None:
    entries = Entries(Changes())
    entries.put(Put("a", b"", expires_after=1.0), 0.0)
    for key in ("b", "c", "d"):
        entries.put(Put(key, b""), 0.0)
    found = entries.scan("", limit=2, after="", now=2.0)
    assert [entry.key for entry in found] == ["b", "c"]


def test_changes_can_be_undone_and_are_a_topic() -> None:
    changes = Changes()
    entries = Entries(changes)
    entries.put(Put("old", b"1", expires_after=5.0), 0.0)
    changes.keep()
    assert changes.take_topics() == {"stored"}
    entries.put(Put("old", b"2"), 0.0)
    entries.put(Put("new", b""), 0.0)
    entries.delete(Delete("old"), 0.0)
    changes.rollback()
    assert entries.load("old", 0.0) == Entry("old", b"1", 1)
    assert entries.load("old", 5.0) is None
    assert entries.load("new", 0.0) is None


def test_what_was_swept_is_undone_to_nothing_worse() -> None:
    changes = Changes()
    entries = Entries(changes)
    entries.put(Put("k", b"1"), 0.0)
    changes.keep()
    entries.delete(Delete("k"), 0.0)
    entries.sweep(0.0)
    changes.rollback()
    assert entries.load("k", 0.0) == Entry("k", b"1", 1)
