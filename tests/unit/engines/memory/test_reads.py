"""What the memory engine tells beyond the suites."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.engines.memory import MemoryEngine
from headrace.errors import InvalidOption
from headrace.record import Filter
from headrace.testing import ManualClock
from headrace.testing.steps import PATIENCE, claim, send


@pytest.fixture
def engine() -> Iterator[MemoryEngine]:
    engine = MemoryEngine(clock=ManualClock())
    engine.open().wait(0)
    yield engine
    engine.close().wait(0)


def test_asking_about_a_queue_does_not_make_one(engine: MemoryEngine) -> None:
    engine.depth(["q"]).wait(0)
    claim(engine, queues=("q",))
    assert engine.depth().wait(0) == ()


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "²", "1 "])
def test_a_cursor_is_one_of_ours(engine: MemoryEngine, cursor: str) -> None:
    with pytest.raises(InvalidOption, match="cursor"):
        engine.find(Filter(), cursor=cursor).wait(PATIENCE)


def test_the_last_page_has_no_cursor_even_if_it_is_full(engine: MemoryEngine) -> None:
    send(engine, "a", "b")
    assert engine.find(Filter(), limit=2).wait(0).cursor is None
    assert engine.find(Filter(), limit=1).wait(0).cursor is not None
