"""Clock steps under the SQLite engine: leases, ids and tokens do not notice them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.ids import Ids
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    apply,
    claim,
    claim_one,
    job_id,
    maintain,
    send,
    settle,
    state,
)
from headrace.write import Extend
from tests.faults.audit import audit
from tests.faults.checkers import lease_log
from tests.faults.history import Event, Type
from tests.faults.lengths import lengths
from tests.faults.promises import drain, promises
from tests.faults.workload import PATIENCE, Workload

HOUR = 3600.0
YEARS = 10 * 365.25 * 86_400.0
JUMPS = (HOUR, -HOUR, YEARS, -YEARS)
SECONDS = 30.0


class WallClock(ManualClock):
    """Plants a bug: leases by a clock that people set."""

    def monotonic(self) -> float:
        """Return what the wall clock says."""
        return self.now()


def opened(path: Path, clock: ManualClock) -> SQLiteEngine:
    engine = SQLiteEngine(path, clock=clock, ids=Ids(clock, seed=1), ballast=0)
    engine.open().wait(PATIENCE)
    return engine


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(tmp_path: Path, clock: ManualClock) -> Iterator[SQLiteEngine]:
    engine = opened(tmp_path / "jobs.db", clock)
    yield engine
    engine.close().wait(PATIENCE)


@pytest.mark.parametrize("jump", JUMPS)
def test_no_lease_expires_early(engine: SQLiteEngine, clock: ManualClock, jump: float) -> None:
    send(engine, "a")
    lease = claim_one(engine, seconds=SECONDS)
    clock.advance(SECONDS - 1)
    clock.step(jump)
    assert maintain(engine).reclaimed == 0
    assert apply(engine, Extend((lease,), SECONDS)).lost == frozenset()
    clock.advance(SECONDS - 1)
    clock.step(-jump)
    assert maintain(engine).reclaimed == 0
    assert settle(engine, lease).lost == frozenset()


@pytest.mark.parametrize("jump", JUMPS)
def test_no_lease_expires_late(engine: SQLiteEngine, clock: ManualClock, jump: float) -> None:
    send(engine, "a")
    lease = claim_one(engine, seconds=SECONDS)
    clock.step(jump)
    clock.advance(SECONDS + 1)
    assert maintain(engine).reclaimed == 1
    again = claim_one(engine)
    assert again.token > lease.token
    assert settle(engine, lease).lost == {job_id("a")}


@pytest.mark.parametrize("jump", JUMPS)
def test_control_leases_by_the_wall_clock_are_found(tmp_path: Path, jump: float) -> None:
    clock = WallClock()
    engine = opened(tmp_path / "jobs.db", clock)
    test = test_no_lease_expires_early if jump > 0 else test_no_lease_expires_late
    with pytest.raises(AssertionError):
        test(engine, clock, jump)
    engine.close().wait(PATIENCE)


def test_ids_stay_unique_and_in_order(clock: ManualClock) -> None:
    ids = Ids(clock)
    made: list[str] = []
    for jump in JUMPS * 20:
        made += [*ids.job_ids(5), ids.job_id()]
        clock.step(jump)
    assert made == sorted(set(made))


def test_control_an_id_from_the_clock_alone_is_out_of_order(clock: ManualClock) -> None:
    made: list[str] = []
    for jump in JUMPS:
        made += Ids(clock).job_ids(5)
        clock.step(jump)
    assert made != sorted(set(made))


def test_another_boot_ends_all_leases(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "jobs.db"
    engine = opened(path, clock)
    send(engine, "a", "b", "c")
    leases = claim(engine, 3, seconds=YEARS)
    engine.close().wait(PATIENCE)
    clock.reboot()
    engine.open().wait(PATIENCE)
    assert maintain(engine).reclaimed == 3
    assert all(settle(engine, lease).lost for lease in leases)
    assert claim_one(engine).token > max(lease.token for lease in leases)
    engine.close().wait(PATIENCE)
    assert audit(path) == []


def test_another_open_in_the_same_boot_ends_none(engine: SQLiteEngine) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    engine.close().wait(PATIENCE)
    engine.open().wait(PATIENCE)
    assert maintain(engine).reclaimed == 0
    assert settle(engine, lease).lost == frozenset()
    assert state(engine, "a") is State.SUCCEEDED


# A mixed workload ---------------------------------------------------------------------------------


@dataclass
class Ticks:
    """A history whose time is a clock's own, plus a nanosecond for each look at it."""

    clock: ManualClock
    events: list[Event] = field(default_factory=list)
    looks: int = 0

    def now(self) -> int:
        self.looks += 1
        return round(self.clock.monotonic() * 10**9) + self.looks

    def record(self, kind: Type, f: str, value: object = None) -> None:
        self.events.append(Event(time=self.now(), process=0, type=kind, f=f, value=value))


def run(path: Path, seed: int, clock: ManualClock, watch: ManualClock) -> list[Event]:
    """Work while the wall clock jumps; `watch` is what the history believes."""
    rng, ticks = Random(seed), Ticks(watch)
    engine = opened(path, clock)
    workload = Workload(engine, ticks, seed=seed, seconds=SECONDS, ticks=ticks.now)
    for _ in range(150):
        workload.step()
        passed = rng.choice((0.001, 0.1, 5.0, SECONDS))
        for each in {id(clock): clock, id(watch): watch}.values():
            each.advance(passed)
        clock.step(rng.choice((0.0, *JUMPS)))
        maintain(engine)
    clock.step(150 * YEARS)  # delays are of the wall clock: let all of them be over
    assert drain(engine, clock, promises(ticks.events)) == []
    engine.close().wait(PATIENCE)
    return ticks.events


@pytest.mark.parametrize("runs", lengths(3, 300))
def test_tokens_and_leases_hold_while_the_clock_jumps(tmp_path: Path, runs: int) -> None:
    for seed in range(runs):
        path, clock = tmp_path / f"{seed}" / "jobs.db", ManualClock()
        events = run(path, seed, clock, clock)
        assert lease_log(events) == []
        tokens = [event.value["token"] for event in events if event.f == "claim"]
        assert tokens == sorted(tokens)
        assert len(tokens) > 20
        assert audit(path) == []


def test_control_the_lease_log_finds_leases_by_the_wall_clock(tmp_path: Path) -> None:
    histories = (
        run(tmp_path / f"{seed}" / "jobs.db", seed, WallClock(), ManualClock())
        for seed in range(10)
    )
    assert any("held the lease" in found for events in histories for found in lease_log(events))
