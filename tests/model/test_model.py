"""Random histories: every engine agrees with the memory engine, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.engine import Engine
from headrace.engines.memory import MemoryEngine
from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.testing import ManualClock
from headrace.testing.model import Rivals
from headrace.testing.script import Dice
from headrace.write import Changed, Extend, Extended, PauseQueue, Reclaim, Reclaimed, RetryJobs
from tests.postgresql import Place

MakeEngine = Callable[[Path, ManualClock], Engine]


def sqlite(folder: Path, clock: ManualClock) -> Engine:
    # What a power cut would take is not what is asked here.
    return SQLiteEngine(folder / "jobs.db", clock=clock, ballast=0, durability="crash")


def postgresql(place: Place) -> MakeEngine:
    """Return what makes engines on an emptied schema."""

    def make(_: Path, clock: ManualClock) -> Engine:
        place.empty()
        return PostgreSQLEngine(place.url, clock=clock, allow_unsafe_server=True)

    return make


@contextmanager
def rivals(make: MakeEngine, dice: Dice) -> Iterator[Rivals]:
    """Yield a new memory engine and a new subject, side by side."""
    clock = ManualClock()
    with TemporaryDirectory() as folder:
        engines = (MemoryEngine(clock=clock), make(Path(folder), clock))
        for engine in engines:
            engine.open().wait(5)
        try:
            yield Rivals(*engines, clock, dice)
        finally:
            for engine in engines:
                engine.close().wait(5)


def go_through(make: MakeEngine, seeds: range, steps: int) -> None:
    """Run a history for each seed."""
    for seed in seeds:
        with rivals(make, Random(seed)) as both:
            both.run(steps)


def broken(write: type, answer: Callable[[Any], Any]) -> MakeEngine:
    """Return what makes engines that only pretend to carry out a kind of write."""

    def make(_: Path, clock: ManualClock) -> Engine:
        engine = MemoryEngine(clock=clock)
        engine._core._writer._verbs[write] = answer
        return engine

    return make


@pytest.mark.parametrize("seed", range(15))
def test_sqlite_agrees_with_memory(seed: int) -> None:
    go_through(sqlite, range(seed, seed + 1), 120)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_sqlite_agrees_on_short_histories(dice: Random, steps: int) -> None:
    with rivals(sqlite, dice) as both:
        both.run(steps)


@pytest.mark.parametrize("seed", range(6))
def test_postgresql_agrees_with_memory(seed: int, postgresql_place: Place) -> None:
    go_through(postgresql(postgresql_place), range(seed, seed + 1), 120)


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_postgresql_agrees_on_short_histories(
    postgresql_place: Place, dice: Random, steps: int
) -> None:
    with rivals(postgresql(postgresql_place), dice) as both:
        both.run(steps)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_postgresql_agrees_for_long(postgresql_place: Place) -> None:
    go_through(postgresql(postgresql_place), range(1000, 2000), 200)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_sqlite_agrees_for_long() -> None:
    go_through(sqlite, range(1000, 3000), 200)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(broken(Extend, lambda _: Extended()), id="heartbeats that keep nothing"),
        pytest.param(broken(Reclaim, lambda _: Reclaimed()), id="a death that changes nothing"),
        pytest.param(broken(RetryJobs, lambda _: Changed()), id="retries that do not happen"),
        pytest.param(broken(PauseQueue, lambda _: None), id="a pause that stops nobody"),
    ],
)
def test_a_planted_bug_is_found(make: MakeEngine) -> None:
    with pytest.raises(AssertionError, match=r"differ(.|\n)*after \d+ steps:\n"):
        go_through(make, range(20), 120)
