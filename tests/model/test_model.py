"""Random histories: every engine agrees with the memory engine, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from headrace.engines.redis import RedisEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import DuplicateJob, EngineError
from headrace.testing import ManualClock
from headrace.testing.model import Rivals
from headrace.testing.script import Dice
from headrace.write import Changed, Extend, Extended, PauseQueue, Reclaim, Reclaimed, RetryJobs
from tests import redis_server
from tests.postgresql import Place
from tests.redis_plants import plant

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


@pytest.fixture
def redis() -> Iterator[MakeEngine]:
    with ExitStack() as ends:
        yield lambda _, clock: RedisEngine(
            ends.enter_context(redis_server.keys()), clock=clock, allow_volatile_server=True
        )


@pytest.mark.parametrize("seed", range(10))
def test_sqlite_agrees_with_memory(seed: int) -> None:
    go_through(sqlite, range(seed, seed + 1), 120)


@pytest.mark.parametrize("seed", range(4))
def test_redis_agrees_with_memory(redis: MakeEngine, seed: int) -> None:
    go_through(redis, range(seed, seed + 1), 120)


@pytest.mark.parametrize(
    ("passage", "bug"),
    [
        pytest.param(
            "and job[TOKEN] == token and job[CLAIM] == claim", "", id="settlements under any lease"
        ),
        pytest.param("return  -- whoever ends it", "-- return", id="a group that overlaps"),
        pytest.param("-job[PRIORITY])", "0)", id="priorities ignored"),
        pytest.param("refuse('lease-lost', lost)", "", id="a strict settlement that is not"),
        pytest.param("forget_unit()\nend", "end", id="a unit that leaves something behind"),
        pytest.param("[job[STATE]] - 1", "[job[STATE]]", id="counts that only grow"),
        pytest.param(
            "waits(job[STATE]) and is_paused(job)", "waits(job[STATE])", id="open queues torn"
        ),
        pytest.param("group and held[group])", "false)", id="groups torn apart by a departure"),
        pytest.param("postpone(jobs[id], now)", "touch(jobs[id])", id="due jobs forgotten"),
    ],
)
def test_a_bug_planted_in_the_scripts_is_found(
    redis: MakeEngine, monkeypatch: pytest.MonkeyPatch, passage: str, bug: str
) -> None:
    plant(monkeypatch, passage, bug)
    with pytest.raises((AssertionError, EngineError, DuplicateJob)):
        go_through(redis, range(20), 120)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_redis_agrees_for_long(redis: MakeEngine) -> None:
    go_through(redis, range(1000, 3000), 200)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_sqlite_agrees_on_short_histories(dice: Random, steps: int) -> None:
    with rivals(sqlite, dice) as both:
        both.run(steps)


@pytest.mark.parametrize("seed", range(3))
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
