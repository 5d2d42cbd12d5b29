"""What the ledger and the queues tell."""

from __future__ import annotations

from pathlib import Path
from random import Random

import apsw
import pytest

from headrace.engines.memory import MemoryEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.plan import run
from headrace.engines.sqlite.reading import depth, drain_rate, find
from headrace.engines.sqlite.sending import send as send_plan
from headrace.errors import InvalidOption
from headrace.record import Filter, State
from headrace.testing import ManualClock
from headrace.testing.model import Rivals
from headrace.testing.steps import (
    PATIENCE,
    bury,
    claim,
    claim_one,
    labels,
    message,
    send,
    settle,
)
from tests.unit.engines.sqlite.looking import complaints, measured


def test_pages_are_stable_while_jobs_come_and_go(engine: SQLiteEngine) -> None:
    send(engine, *(f"j{i}" for i in range(10)))
    seen: list[str] = []
    cursor: str | None = None
    for turn in range(4):
        page = engine.find(Filter(), limit=3, cursor=cursor).wait(PATIENCE)
        seen += labels(page.records)
        cursor = page.cursor
        send(engine, f"new{turn}")
        settle(engine, claim_one(engine))
    assert seen == [f"j{i}" for i in reversed(range(10))]
    assert cursor is None


def test_a_full_last_page_has_no_cursor(engine: SQLiteEngine) -> None:
    send(engine, "a", "b")
    assert engine.find(Filter(), limit=2).wait(PATIENCE).cursor is None
    assert engine.find(Filter(), limit=1).wait(PATIENCE).cursor is not None


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 19, "٣", "1 or 1"])
def test_a_cursor_that_none_of_our_pages_gave_is_refused(engine: SQLiteEngine, cursor: str) -> None:
    with pytest.raises(InvalidOption, match="pass on the one that the last page gave"):
        engine.find(Filter(), cursor=cursor).wait(PATIENCE)


_FINISH = """
insert into headrace_finished (seq, state, attempt, finished_at, kept_until, failure)
select seq, case seq % 500 when 0 then 'dead' when 1 then 'cancelled' else 'succeeded' end,
  1, 2.0, 9e9, '{"cause":"error"}'
from headrace_job where seq <= ?
"""


def populate(connection: apsw.Connection, finished: int, waiting: int) -> None:
    """Store jobs as they are stored, without going through their lives one by one."""
    batch = [message(f"f{i}") for i in range(finished)] + [message(f"w{i}") for i in range(waiting)]
    run(connection, send_plan(batch, 1.0))
    connection.execute(_FINISH, (finished,)).fetchall()
    connection.execute("delete from headrace_ready where seq <= ?", (finished,)).fetchall()


@pytest.mark.parametrize(
    "where",
    [
        Filter(),
        Filter(states=(State.SUCCEEDED,)),
        Filter(states=(State.DEAD,)),
        Filter(states=(State.CANCELLED,)),
        Filter(states=(State.DEAD, State.CANCELLED)),
        Filter(states=(State.RUNNING,)),
        Filter(cause="error"),
        Filter(cause="none"),
        Filter(tags=("none",)),
    ],
    ids=str,
)
def test_a_page_does_not_cost_what_all_jobs_cost(
    connection: apsw.Connection, where: Filter
) -> None:
    populate(connection, 10_000, 10)
    with measured(connection) as cost:
        run(connection, find(where, 10, None, 3.0))
    assert cost.steps < 10_000  # looking at every job takes ten times as many


def test_the_state_of_queues_does_not_cost_what_all_jobs_cost(connection: apsw.Connection) -> None:
    populate(connection, 5_000, 5_000)
    with measured(connection) as cost:
        (status,) = run(connection, depth(["default"], 3.0))
    assert cost.steps < 500
    assert status.name == "default"


def test_filters_combine(engine: SQLiteEngine) -> None:
    send(engine, "a", "b", tags=("x", "y"), queue="red", task="paint")
    send(engine, "c", tags=("x",), queue="red", task="paint")
    send(engine, "d", tags=("x", "y"), queue="blue", task="paint")
    lease, _ = claim(engine, 2, queues=("red",))
    bury(engine, lease)

    def found(where: Filter) -> list[str]:
        return labels(engine.find(where).wait(PATIENCE).records)

    assert found(Filter(tags=("x", "y"))) == ["d", "b", "a"]
    assert found(Filter(tags=("x", "y"), queues=("red",))) == ["b", "a"]
    assert found(Filter(tags=("x",), states=(State.READY, State.RUNNING))) == ["d", "c", "b"]
    assert found(Filter(cause="attempts-spent", tasks=("paint", "other"))) == ["a"]
    assert found(Filter(states=(State.DEAD,), queues=("blue",))) == []


def test_the_drain_rate_goes_on_when_the_clock_was_set_back(
    engine: SQLiteEngine, clock: ManualClock
) -> None:
    for second in range(20):
        send(engine, f"j{second}")
        settle(engine, claim_one(engine))
        if second == 5:
            clock.step(-3600.0)
        clock.advance(1.0)
    (status,) = engine.depth(["default"]).wait(PATIENCE)
    assert 0.5 < status.drain_rate < 1.5


def test_the_drain_rate_is_that_of_the_window_under_way_once_it_says_enough() -> None:
    assert drain_rate(10.0, 0, 100.0, 100.5) == 10.0
    assert drain_rate(10.0, 50, 100.0, 100.5) == 50.0
    assert drain_rate(10.0, 4, 100.0, 102.0) == 2.0
    assert drain_rate(0.0, 0, 100.0, 100.0) == 0.0


def test_what_is_asked_about_nothing_is_nothing(engine: SQLiteEngine) -> None:
    send(engine, "a")
    assert engine.get([]).wait(PATIENCE) == {}
    assert engine.states(["no such id", ""]).wait(PATIENCE) == {}
    (status,) = engine.depth(["never"]).wait(PATIENCE)
    assert (status.name, status.depth) == ("never", 0)


@pytest.mark.parametrize("seed", range(4))
def test_after_any_history_all_tables_agree(path: Path, clock: ManualClock, seed: int) -> None:
    engine = SQLiteEngine(path, clock=clock, ballast=0, durability="crash")
    model = MemoryEngine(clock=clock)
    for each in (engine, model):
        each.open().wait(PATIENCE)
    both = Rivals(model, engine, clock, Random(seed))
    for _ in range(6):
        both.run(40)
        assert complaints(path) == []
    engine.close().wait(PATIENCE)
    model.close().wait(PATIENCE)
