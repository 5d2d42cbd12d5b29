"""What becomes of order-key groups, and of jobs that end or lose their lease."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.life import elect, keep_for
from headrace.engines.sqlite.plan import run
from headrace.engines.sqlite.sending import send as send_plan
from headrace.message import Retention
from headrace.record import Failure, State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    apply,
    claim,
    claim_one,
    fail,
    job_id,
    labels,
    maintain,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import CancelJobs, Reclaim
from tests.unit.engines.sqlite.looking import complaints, look, measured, rows


def test_finished_jobs_are_kept_for_as_long_as_their_state_says() -> None:
    own = Retention(succeeded=1.0, dead=2.0)
    assert keep_for(State.SUCCEEDED, own) == keep_for(State.CANCELLED, own) == 1.0
    assert keep_for(State.DEAD, own) == 2.0
    assert keep_for(State.DEAD, None) == Retention().dead


def group(connection: apsw.Connection, size: int, **fields: object) -> None:
    """Accept a group of jobs with one order key."""
    batch = [message(f"j{i}", order_key="k", **fields) for i in range(size)]
    run(connection, send_plan(batch, 1000.0))


def cost_of_election(connection: apsw.Connection) -> tuple[int, int]:
    groups: list[Any] = connection.execute("select queue, order_key from headrace_front").fetchall()
    connection.execute("delete from headrace_ready").fetchall()
    connection.execute("update headrace_front set seq = -1").fetchall()
    run(connection, elect(groups))  # so that statements are prepared
    with measured(connection) as cost:
        run(connection, elect(groups))
    return cost.statements, cost.steps


def test_an_election_costs_the_same_among_thousands(connection: apsw.Connection) -> None:
    group(connection, 10)
    few = cost_of_election(connection)
    batch = [message(f"m{i}", order_key="k") for i in range(5000)]
    run(connection, send_plan(batch, 1000.0))
    assert cost_of_election(connection) == few


def test_those_who_let_others_go_first_are_passed_in_one_statement(
    connection: apsw.Connection,
) -> None:
    group(connection, 2000, delay=60.0, order_on_wait="skip")
    run(connection, send_plan([message("last", order_key="k")], 1000.0))
    statements, _ = cost_of_election(connection)
    assert statements <= 4
    (waiting,) = connection.execute("select seq from headrace_ready").fetchall()
    assert waiting == (2001,)


def test_an_older_job_that_wakes_takes_the_front_back(
    engine: SQLiteEngine, path: Path, clock: ManualClock
) -> None:
    send(engine, "old", order_key="k", delay=10.0, order_on_wait="skip")
    send(engine, "new", order_key="k")
    assert len(look(path, "select * from headrace_ready")) == 1
    clock.advance(11)
    assert labels(claim(engine, 5)) == ["old"]
    assert complaints(path) == []


def test_a_group_that_is_gone_leaves_nothing(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a", "b", order_key="k")
    settle(engine, claim_one(engine))
    apply(engine, CancelJobs((job_id("b"),)))
    assert look(path, "select * from headrace_front") == []
    assert look(path, "select * from headrace_ordered") == []
    assert complaints(path) == []


def test_each_crash_loop_has_its_own_evidence(engine: SQLiteEngine) -> None:
    send(engine, "a", "b")
    for _ in range(2):
        leases = [claim_one(engine, holder=holder) for holder in ("worker-1", "worker-2")]
        assert labels(leases) in (["a", "b"], ["b", "a"])
        for holder in ("worker-1", "worker-2"):
            apply(engine, Reclaim(holder, Failure(cause="crash", message=holder)))
    one, two = claim_one(engine, holder="worker-1"), claim_one(engine, holder="worker-2")
    engine._clock.advance(60)  # type: ignore[attr-defined] # it is the manual one
    assert maintain(engine).reclaimed == 2
    for lease, holder in ((one, "worker-1"), (two, "worker-2")):
        (label,) = labels([lease])
        found = record(engine, label)
        assert found.state is State.DEAD
        assert found.failure is not None
        assert (found.failure.cause, found.failure.holder) == ("crash-loop", holder)


@pytest.mark.parametrize("wish", [True, False])
def test_a_lost_job_that_was_to_be_cancelled_is_not_run_again(
    engine: SQLiteEngine, path: Path, *, wish: bool
) -> None:
    send(engine, "a", order_key="k")
    send(engine, "b", order_key="k")
    claim_one(engine)
    if wish:
        apply(engine, CancelJobs((job_id("a"),), "enough"))
    back = apply(engine, Reclaim("worker-1", Failure(cause="crash")))
    assert back.returned == (() if wish else (job_id("a"),))
    assert state(engine, "a") is (State.CANCELLED if wish else State.READY)
    assert labels(claim(engine, 5)) == (["b"] if wish else ["a"])
    assert complaints(path) == []


def test_a_job_that_ended_leaves_only_what_is_kept(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a", unique_key="u", order_key="k", expires_after=60.0, tags=("t",))
    fail(engine, claim_one(engine))
    lease = claim_one(engine)
    apply(engine, CancelJobs((job_id("a"),)))
    settle(engine, lease)
    left = ("job", "finished", "tally", "history", "tag")
    for name in ("ordered", "front", "unique", "expiry", "cancelling", "running", "ready"):
        assert rows(path, f"headrace_{name}") == 0
    for name in left:
        assert rows(path, f"headrace_{name}") == 1
