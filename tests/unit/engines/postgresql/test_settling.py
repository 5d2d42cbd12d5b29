"""What becomes of runs when others want the same jobs."""

from __future__ import annotations

import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.changing import cancel
from headrace.engines.postgresql.leasing import reap
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.settling import settle as settling
from headrace.errors import InvalidOption, LeaseLost
from headrace.record import Failure, State
from headrace.testing.steps import (
    apply,
    claim,
    claim_one,
    depth,
    job_id,
    labels,
    record,
    send,
    settle,
    state,
)
from headrace.write import CancelJobs, Settle, Settlement
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import begun, somebody_waits


def test_a_settle_behind_the_reaper_is_stale(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    (lease,) = claim(engine, seconds=-1.0)
    begun(link, reap)
    reply = engine.apply(Settle((Settlement(lease=lease, to=State.SUCCEEDED),)))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).lost == {job_id("a")}
    assert state(engine, "a") is State.READY


def test_of_two_settles_of_one_run_one_counts(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    done = Settle((Settlement(lease=lease, to=State.SUCCEEDED),))
    begun(link, lambda moment: settling(done, moment))
    failed = Settlement(lease=lease, to=State.DEAD, failure=Failure(cause="error"))
    reply = engine.apply(Settle((failed,)))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).lost == {job_id("a")}
    assert state(engine, "a") is State.SUCCEEDED
    assert depth(engine).depth == 0


@pytest.mark.parametrize(
    ("to", "expected"),
    [(State.READY, State.CANCELLED), (State.SUCCEEDED, State.SUCCEEDED), (State.DEAD, State.DEAD)],
)
def test_a_settle_sees_a_wish_to_cancel_that_it_waited_for(
    engine: PostgreSQLEngine, link: Link, postgresql: Place, to: State, expected: State
) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    begun(link, lambda moment: cancel(CancelJobs((job_id("a"),)), moment))
    reply = engine.apply(Settle((Settlement(lease=lease, to=to, failure=Failure(cause="error")),)))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).lost == frozenset()
    assert state(engine, "a") is expected


def test_the_next_of_a_group_follows_at_once(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine
) -> None:
    send(engine, "a", "b", "c", order_key="g")
    for name, one, other in (("a", engine, rival), ("b", rival, engine), ("c", engine, rival)):
        (lease,) = claim(one, 5)
        assert labels([lease]) == [name]
        assert claim(other, 5) == ()
        settle(other, lease)
    assert depth(engine).depth == 0


def test_the_first_settlement_of_a_run_counts(engine: PostgreSQLEngine) -> None:
    send(engine, "a", "b")
    one, other = claim(engine, 2)
    done = Settlement(lease=one, to=State.SUCCEEDED)
    again = Settlement(lease=one, to=State.DEAD, failure=Failure(cause="error"))
    answer = apply(engine, Settle((done, Settlement(lease=other, to=State.SUCCEEDED), again)))
    assert answer.lost == {job_id("a")}
    assert record(engine, "a").state is State.SUCCEEDED
    assert record(engine, "b").state is State.SUCCEEDED


def test_a_strict_one_among_several_takes_nobody_with_it(engine: PostgreSQLEngine) -> None:
    send(engine, "a", "b")
    one, other = claim(engine, 2)
    settle(engine, one)
    stale = Settle((Settlement(lease=one, to=State.SUCCEEDED),), strict=True)
    replies = [
        engine.apply(stale),
        engine.apply(Settle((Settlement(lease=other, to=State.SUCCEEDED),))),
    ]
    with pytest.raises(LeaseLost):
        replies[0].wait(10)
    assert replies[1].wait(10).lost == frozenset()


def test_running_is_no_outcome(engine: PostgreSQLEngine) -> None:
    send(engine, "a")
    with pytest.raises(InvalidOption, match="extend"):
        settle(engine, claim_one(engine), State.RUNNING)
