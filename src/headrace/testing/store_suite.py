"""The conformance suite of the Store role; how to use it: `queue_suite`."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.engine import Engine, Entry
from headrace.errors import Conflict
from headrace.testing.clock import ManualClock
from headrace.testing.steps import PATIENCE, apply, commit, maintain, message, state
from headrace.write import Delete, Put, Send


def load(engine: Engine, key: str) -> Entry | None:
    """Return what is remembered under a key."""
    return engine.load([key]).wait(PATIENCE).get(key)


def keys(engine: Engine, prefix: str, *, limit: int = 1000, after: str = "") -> list[str]:
    """Return the keys with a prefix."""
    return [e.key for e in engine.scan(prefix, limit=limit, after=after).wait(PATIENCE)]


class StoreSuite:
    """Small things, by key."""

    def test_nothing_is_remembered_at_first(self, engine: Engine) -> None:
        assert load(engine, "k") is None
        assert keys(engine, "") == []

    def test_what_is_put_is_loaded(self, engine: Engine) -> None:
        value = bytes(range(256))
        assert apply(engine, Put("k", value)).version == 1
        assert load(engine, "k") == Entry("k", value, 1)
        assert apply(engine, Put("k", b"")).version == 2
        assert load(engine, "k") == Entry("k", b"", 2)

    def test_many_are_loaded_at_once(self, engine: Engine, clock: ManualClock) -> None:
        commit(engine, Put("a", b"1"), Put("b", b"2"), Put("short", b"3", expires_after=60))
        clock.advance(61)
        wanted = ["b", "nothing", "short", "a", 'it\'s "quoted", {with} commas']
        apply(engine, Put(wanted[-1], b"4"))
        entries = engine.load(wanted).wait(PATIENCE)
        assert {key: entry.value for key, entry in entries.items()} == {
            "a": b"1",
            "b": b"2",
            wanted[-1]: b"4",
        }
        assert entries["a"] == Entry("a", b"1", 1)
        assert engine.load([]).wait(PATIENCE) == {}
        assert engine.load(["a", "a"]).wait(PATIENCE).keys() == {"a"}

    def test_what_is_deleted_is_gone(self, engine: Engine) -> None:
        apply(engine, Put("k", b"1"))
        assert apply(engine, Delete("k")).version == 0
        assert load(engine, "k") is None
        assert apply(engine, Delete("k")).version == 0
        assert apply(engine, Put("k", b"2")).version == 1

    def test_compare_and_set(self, engine: Engine) -> None:
        assert apply(engine, Put("k", b"1", expect=0)).version == 1
        with pytest.raises(Conflict):
            apply(engine, Put("k", b"2", expect=0))
        with pytest.raises(Conflict):
            apply(engine, Put("k", b"2", expect=2))
        assert apply(engine, Put("k", b"2", expect=1)).version == 2
        assert load(engine, "k") == Entry("k", b"2", 2)
        with pytest.raises(Conflict):
            apply(engine, Put("other", b"", expect=1))

    def test_compare_and_delete(self, engine: Engine) -> None:
        apply(engine, Put("k", b"1"))
        with pytest.raises(Conflict):
            apply(engine, Delete("k", expect=2))
        with pytest.raises(Conflict):
            apply(engine, Delete("k", expect=0))
        assert load(engine, "k") is not None
        apply(engine, Delete("k", expect=1))
        assert apply(engine, Delete("k", expect=0)).version == 0
        with pytest.raises(Conflict):
            apply(engine, Delete("k", expect=1))

    def test_a_conflict_takes_the_whole_commit_with_it(self, engine: Engine) -> None:
        apply(engine, Put("k", b"1"))
        with pytest.raises(Conflict):
            commit(
                engine, Put("x", b"1"), Send((message("a"),)), Delete("k"), Put("k", b"", expect=1)
            )
        assert load(engine, "x") is None
        assert load(engine, "k") == Entry("k", b"1", 1)
        assert state(engine, "a") is None

    def test_writes_of_one_commit_see_each_other(self, engine: Engine) -> None:
        one, two, three = commit(
            engine, Put("k", b"1", expect=0), Put("k", b"2", expect=1), Delete("k", expect=2)
        )
        assert (one.version, two.version, three.version) == (1, 2, 0)

    def test_what_has_expired_is_not_there(self, engine: Engine, clock: ManualClock) -> None:
        apply(engine, Put("k", b"1", expires_after=10.0))
        apply(engine, Put("kept", b"1"))
        clock.advance(9)
        assert load(engine, "k") is not None
        clock.advance(2)
        assert load(engine, "k") is None
        assert keys(engine, "k") == ["kept"]
        with pytest.raises(Conflict):
            apply(engine, Put("k", b"2", expect=1))
        assert apply(engine, Put("k", b"2", expect=0)).version == 1

    def test_housekeeping_leaves_what_has_not_expired(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        apply(engine, Put("old", b"1", expires_after=10.0))
        apply(engine, Put("renewed", b"1", expires_after=10.0))
        apply(engine, Put("kept", b"1"))
        apply(engine, Put("renewed", b"2", expires_after=100.0))
        clock.advance(11)
        maintain(engine)
        assert keys(engine, "") == ["kept", "renewed"]

    def test_a_put_without_expiry_ends_the_old_one(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        apply(engine, Put("k", b"1", expires_after=10.0))
        apply(engine, Put("k", b"2"))
        clock.advance(11)
        maintain(engine)
        assert load(engine, "k") == Entry("k", b"2", 2)

    def test_scan_takes_prefixes_literally_and_in_order(self, engine: Engine) -> None:
        for key in ("a/b", "a", "a/a", "A/x", "a%z", "a_z", "b", "a/é", "a/\U0010ffff", "a0"):
            apply(engine, Put(key, b""))
        assert keys(engine, "a/") == ["a/a", "a/b", "a/é", "a/\U0010ffff"]
        assert keys(engine, "a%") == ["a%z"]
        assert keys(engine, "a_") == ["a_z"]
        assert keys(engine, "a/\U0010ffff") == ["a/\U0010ffff"]
        assert len(keys(engine, "")) == 10

    def test_scan_goes_on_after_a_key(self, engine: Engine) -> None:
        names = [f"k{n:02}" for n in range(10)]
        for key in [*names, "l"]:
            apply(engine, Put(key, key.encode()))
        assert keys(engine, "k", limit=4) == names[:4]
        assert keys(engine, "k", limit=4, after=names[3]) == names[4:8]
        assert keys(engine, "k", limit=4, after=names[7]) == names[8:]
        assert keys(engine, "k", after=names[9]) == []

    def test_of_rivals_that_saw_the_same_version_one_wins(self, engine: Engine) -> None:
        rivals, rounds = 4, 10
        seen = threading.Barrier(rivals, timeout=PATIENCE)

        def compete(_: int) -> int:
            wins = 0
            for _round in range(rounds):
                entry = load(engine, "n")
                seen.wait()
                with contextlib.suppress(Conflict):
                    apply(engine, Put("n", b"", expect=entry.version if entry else 0))
                    wins += 1
                seen.wait()
            return wins

        with ThreadPoolExecutor(rivals) as threads:
            assert sum(threads.map(compete, range(rivals))) == rounds
        assert load(engine, "n") == Entry("n", b"", rounds)
