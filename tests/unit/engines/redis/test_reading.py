"""Rows of the scripts become records, pages and entries."""

from __future__ import annotations

import msgspec
import pytest

from headrace.engine import Entry, Maintained
from headrace.engines.redis import RedisEngine, reading
from headrace.engines.redis.asking import pack
from headrace.engines.redis.reader import Asker
from headrace.errors import InvalidOption
from headrace.record import Filter, State
from headrace.testing.steps import (
    apply,
    job_id,
    labels,
    message,
    record,
    send,
)
from headrace.write import CancelJobs, Put

PATIENCE = 5.0


class Deaf(Asker):
    """Asks nobody, and answers what it was given."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.bodies: list[object] = []

    def run(self, _: object, body: bytes) -> object:
        self.bodies.append(msgspec.msgpack.decode(body))
        return self._answers.pop(0)


def row(label: str, seq: int) -> list[object]:
    job = ("ready", "default", seq, "noop", 0, 10, 1.0, 0, 0, 0, "")
    envelope = msgspec.json.encode(message(label))
    return [envelope, pack(job), b"", None, None, b"[]", job_id(label).encode()]


def test_a_page_is_gathered_from_several_looks() -> None:
    asker = Deaf([b"90", [row("a", 95)]], [b"80", []], [b"70", [row("b", 75), row("c", 71)]])
    page = reading.find(asker, Filter(), 2, None)
    assert labels(page.records) == ["a", "b"]
    assert page.cursor == "75"
    asked = [(body[5], body[6]) for body in asker.bodies if isinstance(body, list)]
    assert asked == [(3, False), (2, "90"), (2, "80")]


def test_a_list_ends_where_the_server_says_so() -> None:
    page = reading.find(Deaf([b"", [row("a", 5)]]), Filter(), 1, "17")
    assert (labels(page.records), page.cursor) == (["a"], None)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1" * 16, "٣"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidOption, match="cursor"):
        reading.find(Deaf(), Filter(), 1, cursor)


def test_very_many_are_looked_through_in_steps(engine: RedisEngine) -> None:
    send(engine, "first", tags=("blue",))
    send(engine, *[f"n{n}" for n in range(2500)])
    apply(engine, CancelJobs(tuple(job_id(f"n{n}") for n in range(1200))))
    send(engine, "last", queue="other")
    where = Filter(queues=("default",), states=(State.READY, State.CANCELLED))
    page = engine.find(where, limit=2501).wait(PATIENCE)
    assert labels(page.records) == [f"n{n}" for n in reversed(range(2500))] + ["first"]
    assert page.cursor is None
    tagged = engine.find(Filter(tags=("blue",))).wait(PATIENCE)
    assert labels(tagged.records) == ["first"]


def test_an_envelope_that_cannot_be_read_leaves_what_else_is_known(
    engine: RedisEngine, asker: Asker
) -> None:
    send(engine, "a")
    place = f"{engine.address.key}:message:{job_id('a')}"
    asker.call(("SET", place, b'{"v":1,"id":7}'))
    found = record(engine, "a")
    assert (found.message.v, found.message.task) == (0, "noop")
    assert bytes(found.message.body) == b'{"v":1,"id":7}'


def test_entries_keep_their_bytes(engine: RedisEngine) -> None:
    apply(engine, Put("k\n", bytes(range(256))))
    assert engine.load(["k\n"]).wait(PATIENCE).get("k\n") == Entry("k\n", bytes(range(256)), 1)
    assert engine.scan("k", limit=0).wait(PATIENCE) == ()


def test_housekeeping_is_told_in_numbers() -> None:
    told = reading.maintained([1, 2, 3, 1])
    assert told == Maintained(reclaimed=1, expired=2, pruned=3, more=True)
