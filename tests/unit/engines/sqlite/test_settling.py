"""What becomes of runs."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.leasing import Claim, lease
from headrace.engines.sqlite.plan import run
from headrace.engines.sqlite.sending import send as send_plan
from headrace.engines.sqlite.settling import settle as settle_plan
from headrace.errors import InvalidOption, LeaseLost
from headrace.message import Retention
from headrace.record import Failure, State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    apply,
    bury,
    claim,
    claim_one,
    fail,
    job_id,
    labels,
    message,
    record,
    release,
    send,
    settle,
    state,
)
from headrace.write import CancelJobs, Lease, RetryJobs, Settle, Settlement
from tests.unit.engines.sqlite.looking import complaints, look, measured


def done(lease: Lease, result: bytes = b"1") -> Settlement:
    return Settlement(lease=lease, to=State.SUCCEEDED, result=msgspec.Raw(result))


def test_outcomes_of_every_kind_are_recorded_in_one_batch(
    engine: SQLiteEngine, path: Path, clock: ManualClock
) -> None:
    send(engine, "ok", "dead", "gone", "later", "again", "back")
    ok, dead, gone, later, again, back = claim(engine, 6)
    boom = Failure(cause="error", message="boom")
    batch = (
        done(ok, b'{"n":[1,2.50]}'),
        Settlement(lease=dead, to=State.DEAD, failure=boom),
        Settlement(lease=gone, to=State.CANCELLED),
        Settlement(lease=later, to=State.SCHEDULED, delay=10.0, failure=boom),
        Settlement(lease=again, to=State.SCHEDULED, failure=boom),
        Settlement(lease=back, to=State.READY, counted=False),
    )
    assert apply(engine, Settle(batch)).lost == frozenset()
    states = {name: state(engine, name) for name in labels(s.lease for s in batch)}
    assert states == {
        "ok": State.SUCCEEDED,
        "dead": State.DEAD,
        "gone": State.CANCELLED,
        "later": State.SCHEDULED,
        "again": State.READY,
        "back": State.READY,
    }
    result = record(engine, "ok").result
    assert result is not None
    assert bytes(result) == b'{"n":[1,2.50]}'
    assert complaints(path) == []
    clock.advance(10)
    assert labels(claim(engine, 9)) == ["later", "again", "back"]


def test_stale_leases_among_good_ones_are_told_and_change_nothing(
    engine: SQLiteEngine, path: Path
) -> None:
    send(engine, "a", "b", "c")
    a, b, c = claim(engine, 3)
    release(engine, b)
    (newer,) = claim(engine, 1)
    assert apply(engine, Settle((done(a), done(b), done(c)))).lost == {job_id("b")}
    assert state(engine, "b") is State.RUNNING
    settle(engine, newer)
    assert complaints(path) == []


def test_a_strict_settle_with_one_stale_lease_writes_nothing(engine: SQLiteEngine) -> None:
    send(engine, "a", "b")
    a, b = claim(engine, 2)
    settle(engine, b)
    with pytest.raises(LeaseLost, match=job_id("b")):
        apply(engine, Settle((done(a), done(b)), strict=True))
    assert state(engine, "a") is State.RUNNING


def test_of_two_outcomes_of_one_run_the_first_counts(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    twice = (done(lease, b"1"), done(lease, b"2"))
    assert apply(engine, Settle(twice)).lost == {job_id("a")}
    result = record(engine, "a").result
    assert result is not None
    assert bytes(result) == b"1"
    assert complaints(path) == []


def test_a_run_cannot_be_settled_as_running(engine: SQLiteEngine) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    with pytest.raises(InvalidOption, match="extend its lease"):
        settle(engine, lease, State.RUNNING)
    assert state(engine, "a") is State.RUNNING
    assert settle(engine, lease).lost == frozenset()


def test_attempts_are_counted_over_failures_only(engine: SQLiteEngine) -> None:
    send(engine, "a")
    fail(engine, claim_one(engine))
    release(engine, claim_one(engine))
    settle(engine, claim_one(engine), State.SCHEDULED, counted=False)
    lease = claim_one(engine)
    assert lease.attempt == 2
    settle(engine, lease)
    assert record(engine, "a").attempt == 2


def test_a_job_that_was_to_be_cancelled_is_not_tried_again(
    engine: SQLiteEngine, path: Path
) -> None:
    names = ("wins", "fails", "freed")
    send(engine, *names)
    wins, fails, freed = claim(engine, 3)
    apply(engine, CancelJobs(tuple(job_id(name) for name in names), "enough"))
    apply(
        engine,
        Settle(
            (
                done(wins),
                Settlement(lease=fails, to=State.SCHEDULED, delay=5.0),
                Settlement(lease=freed, to=State.READY, counted=False),
            )
        ),
    )
    assert [state(engine, name) for name in names] == [
        State.SUCCEEDED,
        State.CANCELLED,
        State.CANCELLED,
    ]
    failure = record(engine, "fails").failure
    assert failure is not None
    assert (failure.cause, failure.message) == ("cancelled", "enough")
    assert complaints(path) == []


def test_finished_jobs_are_kept_as_long_as_they_asked(
    engine: SQLiteEngine, clock: ManualClock
) -> None:
    send(engine, "ok", "dead", retention=Retention(succeeded=5.0, dead=50.0))
    ok, dead = claim(engine, 2)
    settle(engine, ok)
    bury(engine, dead)
    assert record(engine, "ok").kept_until == clock.now() + 5.0
    assert record(engine, "dead").kept_until == clock.now() + 50.0


def test_a_settled_batch_is_few_statements_whatever_its_size(
    connection: apsw.Connection,
) -> None:
    run(connection, send_plan([message(f"j{i}") for i in range(600)], 1.0))

    def settled(limit: int) -> int:
        wanted = Claim(queues=("default",), limit=limit, seconds=30.0, name=f"w.{limit:016}")
        leases = run(connection, lease(wanted, 1.0, 1.0))
        with measured(connection) as cost:
            run(connection, settle_plan(Settle(tuple(done(one) for one in leases)), 2.0))
        return cost.statements

    assert settled(10) == settled(500) <= 5


def test_a_settle_costs_the_same_in_a_group_of_thousands(connection: apsw.Connection) -> None:
    def settled(name: str) -> tuple[int, int]:
        wanted = Claim(queues=("default",), limit=1, seconds=30.0, name=f"{name}.{0:016}")
        leases = run(connection, lease(wanted, 1.0, 1.0))
        with measured(connection) as cost:
            run(connection, settle_plan(Settle(tuple(done(one) for one in leases)), 2.0))
        return cost.statements, cost.steps

    run(connection, send_plan([message(f"j{i}", order_key="k") for i in range(10)], 1.0))
    settled("a")
    few = settled("b")
    run(connection, send_plan([message(f"m{i}", order_key="k") for i in range(5000)], 1.0))
    assert settled("c")[0] == few[0]
    assert settled("d")[1] < few[1] * 1.1


def test_nothing_to_settle_is_no_mistake(engine: SQLiteEngine) -> None:
    assert apply(engine, Settle(())).lost == frozenset()


def test_a_redriven_job_has_its_keys_and_place_again(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a", "b", order_key="k")
    bury(engine, claim_one(engine))
    apply(engine, RetryJobs((job_id("a"),)))
    assert labels(claim(engine, 5)) == ["a"]
    assert len(look(path, "select * from headrace_history")) == 2  # the failure, and the redrive
    assert complaints(path) == []
