"""How jobs are claimed, kept and lost while rivals do the same."""

from __future__ import annotations

from headrace.engines.postgresql import PostgreSQLEngine, leasing
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.leasing import reap
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.marks import BOTTOM, Marks
from headrace.engines.postgresql.plan import Moment, run
from headrace.record import Failure, State
from headrace.testing.steps import apply, claim, job_id, labels, maintain, record, send, state
from headrace.write import EditJobs, Extend, Reclaim
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import begun, claimed, somebody_waits

CRASH = Failure(cause="crash", message="exit code 1")


def test_rivals_do_not_wait_for_each_other(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "a", "b", "c")
    assert labels(claimed(link, limit=2)) == ["a", "b"]
    assert labels(claim(engine, 5)) == ["c"]
    link.say("rollback")
    assert labels(claim(engine, 5)) == ["a", "b"]


def test_one_of_a_group_is_at_work_whoever_claims(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "a", "b", order_key="g")
    assert labels(claimed(link, limit=5)) == ["a"]
    assert claim(engine, 5) == ()
    link.say("commit")
    assert claim(engine, 5) == ()


def test_two_reapers_part_what_has_expired(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "a", "b")
    claim(engine, 2, seconds=-1.0)
    begun(link, lambda moment: reap(Moment(moment.now, moment.steady)))
    assert maintain(engine).reclaimed == 0
    link.say("commit")
    assert record(engine, "a").lost == 1
    assert len(record(engine, "a").history) == 1


def test_a_heartbeat_before_the_reaper_saves_the_lease(
    engine: PostgreSQLEngine, link: Link
) -> None:
    send(engine, "a")
    leases = claim(engine, seconds=-1.0)
    begun(link, lambda moment: leasing.extend(Extend(leases, 60.0), moment))
    assert maintain(engine).reclaimed == 0  # it passes over what is being kept
    link.say("commit")
    assert maintain(engine).reclaimed == 0
    assert state(engine, "a") is State.RUNNING


def test_a_heartbeat_behind_the_reaper_is_told(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    leases = claim(engine, seconds=-1.0)
    begun(link, reap)
    reply = engine.apply(Extend(leases, 60.0))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).lost == {job_id("a")}


def test_a_reclaim_finds_all_leases_of_a_holder(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine
) -> None:
    send(engine, "a", "b", "c", order_key="g")
    send(engine, "d")
    claim(engine, 5, holder="dead")
    assert sorted(labels(apply(rival, Reclaim("dead", CRASH)).returned)) == ["a", "d"]
    assert labels(claim(rival, 5)) in (["a"], ["d"])


def test_tokens_grow_over_rivals(engine: PostgreSQLEngine, rival: PostgreSQLEngine) -> None:
    send(engine, "a", "b", "c", "d")
    tokens = [claim(one)[0].token for one in (engine, rival, engine, rival)]
    assert tokens == sorted(set(tokens))


def test_the_first_claim_after_a_crash_raises_the_base(
    engine: PostgreSQLEngine, link: Link
) -> None:
    send(engine, "a", "b")
    before = claim(engine)[0].token
    link.say("truncate headrace.witness")  # as a crash does
    after = claim(engine)[0].token
    assert after - before > 2**32 - 100


def test_marks_hide_a_job_that_came_before_them_until_a_full_look(
    engine: PostgreSQLEngine, link: Link
) -> None:
    now = [0.0]
    marks = Marks(lambda: now[0])
    send(engine, "a", "b")

    def first() -> tuple[str, ...]:
        asked = leasing.Claim(queues=("default",), limit=1, seconds=30.0, name="w.0123456789abcdef")
        moment = Moment(*[link.begin()] * 2)
        leases = run(link.ask, leasing.lease(asked, moment, marks))
        link.say("commit")
        return tuple(labels(leases))

    marks.begin()
    marks.end(10**9)  # a look that was very dear
    assert first() == ("a",)
    assert marks.of("default") != BOTTOM
    send(engine, "urgent", priority=1)
    assert first() == ("b",)
    assert first() == ()
    now[0] += 3600.0
    assert first() == ("urgent",)


def test_a_look_counts_the_entries_it_steps_over(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    old = Link(Address(postgresql.url))
    old.begin(mode="isolation level repeatable read")
    old.say("select count(*) from headrace.job")  # a snapshot that others' cleaning must respect
    seen: list[int] = []

    class Counting(Marks):
        def end(self, entries: int) -> None:
            seen.append(entries)

    send(engine, *[f"{number}" for number in range(300)])
    claim(engine, 300)
    moment = Moment(*[link.begin()] * 2)
    marks = Counting(lambda: 0.0)
    run(link.ask, leasing.claimable_in(["default"], moment.now, marks))
    link.say("rollback")
    old.rollback()
    old.close()
    assert seen[0] >= 300


def test_an_edit_waits_for_a_claim_and_changes_nothing(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    claimed(link)
    reply = engine.apply(EditJobs((job_id("a"),), priority=5))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).changed == frozenset()
    assert state(engine, "a") is State.RUNNING
