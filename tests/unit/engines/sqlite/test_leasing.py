"""How jobs are claimed, kept and lost."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest

from headrace.engines.sqlite import SQLiteEngine, leasing
from headrace.engines.sqlite.leasing import Claim, claimable_in, lease
from headrace.engines.sqlite.plan import run
from headrace.engines.sqlite.sending import send as send_plan
from headrace.message import Retention
from headrace.record import Failure, Filter, State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    apply,
    claim,
    claim_one,
    depth,
    job_id,
    labels,
    maintain,
    message,
    record,
    release,
    send,
    settle,
    state,
)
from headrace.write import CancelJobs, Extend, PauseQueue, PurgeJobs, Reclaim, RetryJobs
from tests.unit.engines.sqlite.looking import complaints, look, measured


def test_the_highest_priority_comes_first_and_the_rest_stays_in_order(
    engine: SQLiteEngine, path: Path
) -> None:
    for index in range(30):
        send(engine, f"p{index:02}", priority=index % 3)
    first = claim(engine, 7)
    rest = claim(engine, 99)
    expected = sorted(range(30), key=lambda index: (-(index % 3), index))
    assert labels([*first, *rest]) == [f"p{index:02}" for index in expected]
    assert complaints(path) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_who_wants_nothing_gets_nothing(engine: SQLiteEngine, limit: int) -> None:
    send(engine, "a", "lost")
    claim(engine, 2)
    apply(engine, Reclaim("worker-1", Failure(cause="crash")))
    assert claim(engine, limit) == ()
    waiting = engine.lease(["default"], limit=limit, seconds=30.0, holder="w", wait=PATIENCE)
    assert waiting.done


def test_a_queue_named_twice_is_one_queue(engine: SQLiteEngine) -> None:
    send(engine, "a", "b", "c")
    assert labels(claim(engine, 9, queues=("default", "default", "none"))) == ["a", "b", "c"]


def test_thousands_of_due_jobs_wake_in_steps(
    engine: SQLiteEngine, path: Path, clock: ManualClock
) -> None:
    names = [f"j{i}" for i in range(2500)]
    send(engine, *names, delay=5.0)
    clock.advance(5)
    assert labels(claim(engine, 3000)) == names
    assert complaints(path) == []


def test_a_job_of_each_queue_comes_before_the_second_of_one(engine: SQLiteEngine) -> None:
    for queue in ("red", "blue"):
        send(engine, *(f"{queue}{i}" for i in range(4)), queue=queue)
    first = {label[:-1] for label in labels(claim(engine, 2, queues=("red", "blue")))}
    assert first == {"red", "blue"}
    assert len(claim(engine, 9, queues=("red", "blue"))) == 6


def test_what_this_version_cannot_read_becomes_a_dead_letter_that_can_be_listed(
    engine: SQLiteEngine, path: Path
) -> None:
    send(engine, "a", "b", "c", task="work")
    look(
        path,
        "update headrace_job set envelope = json_set(envelope, '$.novelty', 1) where id like ?",
        f"%{b'b'.hex()}",
    )
    assert labels(claim(engine, 9)) == ["a", "c"]
    (dead,) = engine.find(Filter(states=(State.DEAD,))).wait(PATIENCE).records
    assert labels([dead]) == ["b"]
    assert dead.failure is not None
    assert dead.failure.cause == "unreadable"
    assert "novelty" in dead.failure.message
    assert (dead.message.v, dead.message.task, dead.message.queue) == (0, "work", "default")
    assert b"novelty" in bytes(dead.message.body)  # nothing is lost
    assert complaints(path) == []


@pytest.mark.parametrize("retention", ['{"dead":null}', '{"dead":-1}', '{"novelty":1}', '"long"'])
def test_a_retention_that_cannot_be_read_ends_its_own_job_and_no_other(
    engine: SQLiteEngine, path: Path, clock: ManualClock, retention: str
) -> None:
    send(engine, "read", "cancel", "purge")
    send(engine, "late", expires_after=10.0)
    look(
        path,
        "update headrace_job set envelope = json_set(envelope, '$.retention', json(?))",
        retention,
    )
    send(engine, "good", priority=-1)
    apply(engine, CancelJobs((job_id("cancel"),)))
    apply(engine, PurgeJobs((job_id("purge"),)))
    clock.advance(20.0)
    assert labels(claim(engine, 9)) == ["good"]
    assert state(engine, "cancel") is state(engine, "purge") is State.CANCELLED
    assert record(engine, "late").kept_until == clock.now() + Retention().dead
    failure = record(engine, "read").failure
    assert failure is not None
    assert failure.cause == "unreadable"
    assert complaints(path) == []


def test_a_claim_takes_so_many_bytes_and_leaves_the_rest(
    engine: SQLiteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasing, "_CLAIM_BYTES", 10_000)
    small, large = (msgspec.Raw(b'"' + b"x" * size + b'"') for size in (1_900, 20_000))
    for queue in ("red", "blue"):
        send(engine, *(f"{queue}{n}" for n in range(4)), queue=queue, body=small)
    claimed = 0
    while leases := claim(engine, 9, queues=("red", "blue")):
        assert len(leases) * 1_900 < 10_000 + 1_900
        claimed += len(leases)
    assert claimed == 8
    send(engine, "a", "b", body=large)  # beyond any claim: one at a time
    send(engine, "c", body=small)
    assert [labels(claim(engine, 9)) for _ in range(4)] == [["a"], ["b"], ["c"], []]
    assert complaints(path) == []


def test_all_that_a_claim_says_is_read_by_one_statement(connection: apsw.Connection) -> None:
    batch = [message(f"j{i}", priority=i % 5) for i in range(1200)]
    run(connection, send_plan(batch, 1000.0))

    def take(limit: int) -> int:
        wanted = Claim(queues=("default",), limit=limit, seconds=30.0, name=f"w.{limit:016}")
        with measured(connection) as cost:
            assert len(run(connection, lease(wanted, 1000.0, 50.0))) == limit
        return cost.statements

    take(1)
    assert take(10) == take(500)


def test_a_lease_of_its_own_length_is_kept_with_its_own_length(
    engine: SQLiteEngine, clock: ManualClock
) -> None:
    send(engine, "long", lease=100.0)
    send(engine, "plain")
    held = claim(engine, 2, seconds=10.0)
    clock.advance(50)
    assert maintain(engine).reclaimed == 1
    assert apply(engine, Extend(held, 10.0)).lost == {held[1].job_id}
    clock.advance(90)
    assert maintain(engine).reclaimed == 0


def test_a_holder_whose_name_begins_like_another_keeps_its_leases(engine: SQLiteEngine) -> None:
    send(engine, "a", "b", "c")
    for holder in ("w", "w.1", "w1"):
        claim_one(engine, holder=holder)
    back = apply(engine, Reclaim("w", Failure(cause="crash")))
    assert labels(back.returned) == ["a"]


def test_a_reboot_ends_every_lease(path: Path, clock: ManualClock) -> None:
    engine = SQLiteEngine(path, clock=clock, ballast=0)
    engine.open().wait(PATIENCE)
    send(engine, "a")
    claim_one(engine, seconds=1e6)
    engine.close().wait(PATIENCE)
    clock.reboot()
    engine.open().wait(PATIENCE)
    assert maintain(engine).reclaimed == 1
    assert record(engine, "a").lost == 1
    engine.close().wait(PATIENCE)


def soon(engine: SQLiteEngine, path: Path, *queues: str) -> float:
    connection = apsw.Connection(str(path))
    try:
        return run(connection, claimable_in(queues, engine._clock.now()))
    finally:
        connection.close()


def test_it_is_known_when_there_may_be_a_job(
    engine: SQLiteEngine, path: Path, clock: ManualClock
) -> None:
    assert soon(engine, path, "default") == float("inf")
    send(engine, "late", delay=10.0)
    clock.advance(4)
    assert soon(engine, path, "default") == pytest.approx(6.0)
    send(engine, "now")
    assert soon(engine, path, "default") == 0.0
    assert soon(engine, path, "other") > 0.0
    apply(engine, PauseQueue("default"))
    assert soon(engine, path, "default") > 0.0
    apply(engine, PauseQueue("default", paused=False))
    apply(engine, RetryJobs(()))
    claim_one(engine)
    assert soon(engine, path, "default") > 0.0


def test_expired_jobs_are_never_handed_out(
    engine: SQLiteEngine, path: Path, clock: ManualClock
) -> None:
    send(engine, "a", expires_after=5.0)
    send(engine, "b")
    lease = claim(engine, 1)
    assert labels(lease) == ["a"]
    clock.advance(6)  # a started in time
    release(engine, lease[0])
    assert labels(claim(engine, 9)) == ["b"]
    assert state(engine, "a") is State.DEAD
    assert complaints(path) == []


def test_a_claim_costs_the_same_beside_thousands_of_finished_and_waiting_jobs(
    connection: apsw.Connection,
) -> None:
    def take(label: str) -> tuple[int, int]:
        run(connection, send_plan([message(f"{label}{i}", priority=9) for i in range(5)], 1.0))
        wanted = Claim(queues=("default",), limit=5, seconds=30.0, name=f"{label}.{0:016}")
        with measured(connection) as cost:
            assert len(run(connection, lease(wanted, 1.0, 1.0))) == 5
        return cost.statements, cost.steps

    take("a")
    few = take("b")
    run(connection, send_plan([message(f"m{i}") for i in range(5000)], 1.0))
    run(connection, send_plan([message(f"d{i}", delay=60.0) for i in range(5000)], 1.0))
    statements, steps = take("c")
    assert statements == few[0]
    assert steps < few[1] * 1.1


def test_a_settled_lease_cannot_be_extended(engine: SQLiteEngine) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    settle(engine, lease)
    assert apply(engine, Extend((lease,), 30.0)).lost == {lease.job_id}
    assert depth(engine).running == 0
