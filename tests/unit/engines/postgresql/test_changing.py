"""Changes to jobs that somebody is claiming, settling or changing."""

from __future__ import annotations

import msgspec
import pytest

from headrace.engines.postgresql import PostgreSQLEngine, changing
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.settling import settle as settling
from headrace.errors import DuplicateJob
from headrace.record import QueueLimits, State
from headrace.testing.steps import (
    apply,
    bury,
    claim,
    claim_one,
    depth,
    job_id,
    labels,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import (
    CancelJobs,
    EditJobs,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    RetryJobs,
    Send,
    Settle,
    Settlement,
)
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import begun, claimed, somebody_waits


def test_a_cancel_behind_a_claim_asks_the_worker(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    (lease,) = claimed(link)
    reply = engine.apply(CancelJobs((job_id("a"),), reason="\0"))
    somebody_waits(postgresql)
    link.say("commit")
    answer = reply.wait(10)
    assert answer.states == {job_id("a"): State.RUNNING}
    assert answer.changed == {job_id("a")}
    assert record(engine, "a").cancel_asked
    settle(engine, lease, State.READY, counted=False)
    assert state(engine, "a") is State.CANCELLED


def test_a_cancel_behind_a_claim_that_is_rolled_back_ends_the_job(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    claimed(link)
    reply = engine.apply(CancelJobs((job_id("a"),)))
    somebody_waits(postgresql)
    link.say("rollback")
    assert reply.wait(10).states == {job_id("a"): State.CANCELLED}


def test_a_cancel_behind_a_settle_changes_nothing(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    done = Settle((Settlement(lease=claim_one(engine), to=State.SUCCEEDED),))
    begun(link, lambda moment: settling(done, moment))
    reply = engine.apply(CancelJobs((job_id("a"),)))
    somebody_waits(postgresql)
    link.say("commit")
    answer = reply.wait(10)
    assert (answer.states, answer.changed) == ({job_id("a"): State.SUCCEEDED}, frozenset())


def test_of_two_redrives_one_happens(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    bury(engine, claim_one(engine))
    begun(link, lambda moment: changing.retry(RetryJobs((job_id("a"),)), moment))
    reply = engine.apply(RetryJobs((job_id("a"),)))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).changed == frozenset()
    assert len(claim(engine, 5)) == 1
    assert depth(engine).depth == 1


def test_a_purge_behind_a_redrive_leaves_the_job(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    bury(engine, claim_one(engine))
    begun(link, lambda moment: changing.retry(RetryJobs((job_id("a"),)), moment))
    reply = engine.apply(PurgeJobs((job_id("a"),)))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(10).changed == frozenset()
    assert state(engine, "a") is State.READY


def test_a_redrive_awaits_a_rival_for_the_key(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine
) -> None:
    send(engine, "a", unique_key="k")
    bury(engine, claim_one(engine))
    send(rival, "b", unique_key="k")
    with pytest.raises(DuplicateJob) as refused:
        apply(engine, RetryJobs((job_id("a"),)))
    assert refused.value.job_id == job_id("b")


def test_an_edited_priority_keeps_the_moment_and_the_envelope(engine: PostgreSQLEngine) -> None:
    body = msgspec.Raw(b'{"text":"\\u0000", "n": 1.50}')
    apply(engine, Send((message("a", body=body, delay=60.0),)))
    due = record(engine, "a").run_at
    apply(engine, EditJobs((job_id("a"),), priority=7))
    kept = record(engine, "a")
    assert (kept.state, kept.run_at, kept.message.priority) == (State.SCHEDULED, due, 7)
    assert bytes(kept.message.body) == bytes(body)


def test_a_moment_frees_the_front_for_none(engine: PostgreSQLEngine) -> None:
    send(engine, "a", "b", order_key="g")
    apply(engine, EditJobs((job_id("a"),), run_at=4e9))
    assert claim(engine, 5) == ()
    apply(engine, CancelJobs((job_id("a"),)))
    assert labels(claim(engine, 5)) == ["b"]


def test_a_limit_counts_what_came_before_it(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine
) -> None:
    send(engine, "a", "b")
    apply(rival, LimitQueue("default", QueueLimits(max_depth=3)))
    send(rival, "c")
    assert depth(engine).limits.max_depth == 3
    assert depth(engine).depth == 3


def test_a_pause_holds_for_all(engine: PostgreSQLEngine, rival: PostgreSQLEngine) -> None:
    send(engine, "a")
    apply(engine, PauseQueue("default"))
    assert claim(rival) == ()
    apply(rival, PauseQueue("default", paused=False))
    assert labels(claim(engine)) == ["a"]
