"""The steps that several writes share keep groups, counts and places right."""

from __future__ import annotations

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.life import elect, keep_for, lock_groups, take_waiting
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import run
from headrace.message import Retention
from headrace.record import Failure, State
from headrace.testing.steps import (
    apply,
    claim,
    depth,
    job_id,
    labels,
    maintain,
    record,
    send,
    state,
)
from headrace.write import CancelJobs, Reclaim
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import claimed, somebody_waits


def places(link: Link) -> dict[str, int]:
    """Return the place of every job by the last letter of its id."""
    rows = link.say("select id::text, seq from headrace.job")
    return {labels([name])[0]: seq for name, seq in rows}


def test_what_waits_is_taken_from_wherever_it_waits(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "ready")
    send(engine, "later", delay=60.0)
    send(engine, "front", "behind", order_key="g")
    send(engine, "runs", priority=9)
    claim(engine)
    at = places(link)
    link.begin()
    groups = run(link.ask, lock_groups(()))
    taken = run(link.ask, take_waiting([at[name] for name in sorted(at)]))
    assert groups == []
    assert set(taken) == {at[name] for name in ("ready", "later", "front", "behind")}
    assert [seq for seq, moment in taken.items() if moment is not None] == [at["later"]]


def test_groups_are_locked_once_and_empty_ones_forgotten(link: Link) -> None:
    link.begin()
    groups = run(link.ask, lock_groups([(2, "b"), (1, "z"), (2, "b"), (2, "a")]))
    assert groups == [(1, "z"), (2, "a"), (2, "b")]
    assert link.say("select count(*) from headrace.front") == [(3,)]
    run(link.ask, elect(groups))
    assert link.say("select count(*) from headrace.front") == [(0,)]


def test_housekeeping_passes_over_groups_that_are_locked(
    engine: PostgreSQLEngine, link: Link
) -> None:
    send(engine, "a", "b", order_key="g", expires_after=-1.0)
    send(engine, "c", expires_after=-1.0)
    link.begin()
    link.say("select 1 from headrace.front for update")
    assert maintain(engine).expired == 1
    link.say("rollback")
    assert maintain(engine).expired == 2


def test_an_election_does_not_displace_what_a_rival_claims(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a", order_key="g", delay=3600.0, order_on_wait="skip")
    send(engine, "b", order_key="g")
    claimed(link)
    reply = engine.apply(CancelJobs((job_id("b"),)))
    somebody_waits(postgresql)
    link.say("commit")
    reply.wait(10)
    assert state(engine, "b") is State.RUNNING
    assert claim(engine, 5) == ()


def test_queues_count_whatever_way_jobs_end(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "a", "b", "c", unique_key=None, expires_after=3600.0)
    for _ in range(3):
        claim(engine, 1, holder="dead")
        apply(engine, Reclaim("dead", Failure(cause="crash")))
    apply(engine, CancelJobs((job_id("b"), job_id("c"))))
    maintain(engine)
    assert record(engine, "a").state is State.DEAD
    assert (depth(engine).depth, depth(engine).bytes) == (0, 0)
    tables = ("ready", "scheduled", "running", "expiry", "cancelling", "unique_key", "ordered")
    for table in (*tables, "front", "flow"):
        assert link.say(f"select count(*) from headrace.{table}") == [(0,)], table  # noqa: S608 - names above


def test_how_long_is_kept() -> None:
    own = Retention(succeeded=1.0, dead=2.0)
    assert [keep_for(s, own) for s in (State.SUCCEEDED, State.CANCELLED, State.DEAD)] == [1, 1, 2]
    assert keep_for(State.DEAD, None) == Retention().dead
