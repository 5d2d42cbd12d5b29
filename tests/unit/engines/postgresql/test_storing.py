"""Small things, and rivals for them."""

from __future__ import annotations

import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.storing import put
from headrace.errors import Conflict
from headrace.testing.steps import apply
from headrace.write import Delete, Put
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import begun, somebody_waits


@pytest.mark.parametrize("first", [True, False])
def test_of_rivals_for_one_version_the_later_sees_a_conflict(
    engine: PostgreSQLEngine, link: Link, postgresql: Place, *, first: bool
) -> None:
    expect = 0
    if not first:
        expect = apply(engine, Put("k", b"0")).version
    begun(link, lambda moment: put(Put("k", b"1", expect=expect), moment))
    reply = engine.apply(Put("k", b"2", expect=expect))
    somebody_waits(postgresql)
    link.say("commit")
    with pytest.raises(Conflict, match="not"):
        reply.wait(10)
    entry = engine.load(["k"]).wait(10).get("k")
    assert entry is not None
    assert entry.value == b"1"


def test_who_does_not_care_comes_after(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    begun(link, lambda moment: put(Put("k", b"1"), moment))
    reply = engine.apply(Put("k", b"2"))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).version == 2


def test_an_expired_entry_begins_anew(engine: PostgreSQLEngine) -> None:
    apply(engine, Put("k", b"1", expires_after=-1.0))
    assert engine.load(["k"]).wait(10).get("k") is None
    assert apply(engine, Put("k", b"2", expect=0)).version == 1
    assert apply(engine, Delete("k", expect=1)).version == 0


def test_keys_are_ordered_by_their_characters(engine: PostgreSQLEngine) -> None:
    keys = ["Z", "a", "a/1", "a0", "ä", "\U0010ffff"]
    for key in keys:
        apply(engine, Put(key, b""))
    assert [entry.key for entry in engine.scan("").wait(10)] == keys
    assert [entry.key for entry in engine.scan("a").wait(10)] == ["a", "a/1", "a0"]
