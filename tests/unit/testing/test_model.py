"""The comparison itself: agreement, disagreement and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import pytest

from headrace.engines.memory import MemoryEngine
from headrace.record import State
from headrace.reply import Reply
from headrace.testing import ManualClock
from headrace.testing.model import Rivals


@contextmanager
def rivals(kind: type[MemoryEngine], seed: int) -> Iterator[Rivals]:
    """Yield a memory engine beside one of another kind."""
    clock = ManualClock()
    reference, subject = MemoryEngine(clock=clock), kind(clock=clock)
    for engine in (reference, subject):
        engine.open().wait(0)
    try:
        yield Rivals(reference, subject, clock, Random(seed))
    finally:
        for engine in (reference, subject):
            engine.close().wait(0)


@pytest.mark.parametrize("seed", range(5))
def test_an_engine_agrees_with_itself(seed: int) -> None:
    with rivals(MemoryEngine, seed) as both:
        both.run(100)
        assert len(both.story) >= 100


class Liar(MemoryEngine):
    """It calls every job that runs ready."""

    def states(self, ids: Sequence[str]) -> Reply[dict[str, State]]:
        def lie(states: dict[str, State]) -> dict[str, State]:
            told = {State.RUNNING: State.READY}
            return {name: told.get(state, state) for name, state in states.items()}

        return super().states(ids).map(lie)


def test_a_disagreement_names_the_job_and_tells_the_story() -> None:
    with rivals(Liar, 1) as both, pytest.raises(AssertionError) as found:
        both.run(100)
    what, *story = str(found.value).splitlines()
    assert what.startswith("states differ: 018f3c5e-")
    assert "'running'" in what
    assert story[0].startswith("after")
    assert [line.strip() for line in story[1:]] == both.story[-15:]
    assert any(line.startswith("claim") for line in both.story)
