"""Small things that are remembered."""

from __future__ import annotations

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.plan import run
from headrace.engines.sqlite.storing import put, scan
from headrace.errors import Conflict
from headrace.testing import ManualClock
from headrace.testing.steps import PATIENCE, apply
from headrace.write import Delete, Put
from tests.unit.engines.sqlite.looking import measured

LAST = "\U0010ffff"


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (
            "",
            {"a", "a/", "a/1", "a/\ud7ff", "a/\ue000", f"a/{LAST}", f"a/{LAST}x", "a0", "b", LAST},
        ),
        ("a/", {"a/", "a/1", "a/\ud7ff", "a/\ue000", f"a/{LAST}", f"a/{LAST}x"}),
        ("a/\ud7ff", {"a/\ud7ff"}),
        (f"a/{LAST}", {f"a/{LAST}", f"a/{LAST}x"}),
        (LAST, {LAST}),
        ("c", set()),
    ],
)
def test_a_scan_finds_exactly_what_begins_alike(
    engine: SQLiteEngine, prefix: str, found: set[str]
) -> None:
    keys = ["a", "a/", "a/1", "a/\ud7ff", "a/\ue000", f"a/{LAST}", f"a/{LAST}x", "a0", "b", LAST]
    for key in keys:
        apply(engine, Put(key, b""))
    seen = [entry.key for entry in engine.scan(prefix).wait(PATIENCE)]
    assert set(seen) == found
    assert seen == sorted(seen)


def test_pages_of_a_scan_follow_each_other(engine: SQLiteEngine) -> None:
    for index in range(25):
        apply(engine, Put(f"k/{index:02}", b""))
    seen: list[str] = []
    while page := engine.scan("k/", limit=10, after=seen[-1] if seen else "").wait(PATIENCE):
        seen += [entry.key for entry in page]
    assert seen == [f"k/{index:02}" for index in range(25)]


def test_a_short_scan_does_not_go_through_what_comes_after(connection: apsw.Connection) -> None:
    def cost() -> int:
        with measured(connection) as cost:
            assert len(run(connection, scan("a/", 1000, "", 1.0))) == 3
        return cost.steps

    for index in range(3):
        run(connection, put(Put(f"a/{index}", b""), 1.0))
    alone = cost()
    for index in range(3000):
        run(connection, put(Put(f"b/{index}", b""), 1.0))
    assert cost() <= alone + 10


def test_an_expired_entry_is_not_there(engine: SQLiteEngine, clock: ManualClock) -> None:
    apply(engine, Put("k", b"old", expires_after=5.0))
    assert apply(engine, Put("k", b"newer", expires_after=5.0)).version == 2
    clock.advance(5)
    assert engine.load(["k"]).wait(PATIENCE).get("k") is None
    assert engine.scan("").wait(PATIENCE) == ()
    assert apply(engine, Put("k", b"new", expect=0)).version == 1
    clock.advance(100)
    assert engine.load(["k"]).wait(PATIENCE).get("k") is not None


@pytest.mark.parametrize("expect", [0, 1, 3])
def test_another_version_is_a_conflict(engine: SQLiteEngine, expect: int) -> None:
    apply(engine, Put("k", b"1"))
    apply(engine, Put("k", b"2"))
    for write in (Put("k", b"3", expect=expect), Delete("k", expect=expect)):
        with pytest.raises(Conflict, match="has version 2"):
            apply(engine, write)
    assert apply(engine, Delete("k", expect=2)).version == 0
    assert apply(engine, Delete("k")).version == 0


def test_any_bytes_and_any_text_are_kept(engine: SQLiteEngine) -> None:
    key = "kůň 🐎 ' \" % _ ?"
    apply(engine, Put(key, bytes(range(256))))
    entry = engine.load([key]).wait(PATIENCE).get(key)
    assert entry is not None
    assert entry.value == bytes(range(256))
