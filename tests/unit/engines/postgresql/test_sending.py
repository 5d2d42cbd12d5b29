"""How messages become jobs while rivals send, too."""

from __future__ import annotations

import msgspec
import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.life import lock_groups
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import run
from headrace.engines.postgresql.sending import send as sending
from headrace.errors import DuplicateJob, InvalidOption, QueueFull
from headrace.record import QueueLimits, State
from headrace.testing.steps import (
    apply,
    claim,
    depth,
    job_id,
    labels,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import LimitQueue, Send
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import begun, somebody_waits

NUL = '{"text":"a\\u0000b"}'


def test_a_body_may_hold_what_a_text_of_the_server_may_not(engine: PostgreSQLEngine) -> None:
    body = msgspec.Raw(NUL.encode())
    apply(engine, Send((message("a", body=body, tags=("x",), order_key="g"),)))
    (lease,) = claim(engine)
    assert bytes(lease.message.body) == NUL.encode()
    settle(engine, lease, result=msgspec.Raw(NUL.encode()))
    assert bytes(record(engine, "a").result or b"") == NUL.encode()


def test_an_id_that_is_no_uuid_is_refused(engine: PostgreSQLEngine) -> None:
    with pytest.raises(InvalidOption, match="UUID"):
        apply(engine, Send((message("a", id="job-1"),)))


def test_more_than_one_document_keeps_the_order(engine: PostgreSQLEngine) -> None:
    names = [f"{number}" for number in range(2500)]
    send(engine, *names)
    assert depth(engine).depth == 2500
    assert labels(claim(engine, 2500)) == names


def test_a_key_in_an_open_transaction_is_awaited_and_then_refused(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    begun(link, lambda moment: sending([message("a", unique_key="k")], moment))
    reply = engine.apply(Send((message("b", unique_key="k"),)))
    somebody_waits(postgresql)
    send(engine, "c")  # others do not wait with it
    assert not reply.done
    link.say("commit")
    with pytest.raises(DuplicateJob) as refused:
        reply.wait(10)
    assert refused.value.job_id == job_id("a")


def test_a_key_whose_transaction_is_rolled_back_is_free(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    begun(link, lambda moment: sending([message("a", unique_key="k")], moment))
    reply = engine.apply(Send((message("b", unique_key="k"),)))
    somebody_waits(postgresql)
    link.say("rollback")
    reply.wait(10)
    assert state(engine, "b") is State.READY


def test_a_replacement_waits_for_a_rival_that_replaces(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a", unique_key="k")
    taking = message("b", unique_key="k", on_conflict="replace")
    begun(link, lambda moment: sending([taking], moment))
    reply = engine.apply(Send((message("c", unique_key="k", on_conflict="replace"),)))
    somebody_waits(postgresql)
    link.say("commit")
    assert labels(reply.wait(10).replaced) == ["b"]
    assert [state(engine, name) for name in "abc"] == [
        State.CANCELLED,
        State.CANCELLED,
        State.READY,
    ]


def test_a_full_queue_counts_what_a_rival_is_about_to_send(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    apply(engine, LimitQueue("default", QueueLimits(max_depth=2)))
    send(engine, "a")
    begun(link, lambda moment: sending([message("b")], moment))
    reply = engine.apply(Send((message("c"),)))
    somebody_waits(postgresql)
    link.say("commit")
    with pytest.raises(QueueFull):
        reply.wait(10)
    assert depth(engine).depth == 2


def test_without_a_limit_nobody_waits_for_anybody(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "first")
    begun(link, lambda moment: sending([message("a")], moment))
    send(engine, "b")
    link.say("commit")
    assert depth(engine).depth == 3


def test_a_group_takes_its_members_in_the_order_of_their_transactions(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    begun(link, lambda moment: sending([message("a", order_key="g")], moment))
    reply = engine.apply(Send((message("b", order_key="g"),)))
    somebody_waits(postgresql)
    link.say("commit")
    reply.wait(10)
    (lease,) = claim(engine, 5)
    assert labels([lease]) == ["a"]
    settle(engine, lease)
    assert labels(claim(engine, 5)) == ["b"]


def test_a_transaction_that_lasts_keeps_nobody_waiting(
    engine: PostgreSQLEngine, link: Link
) -> None:
    apply(engine, LimitQueue("default", QueueLimits(max_depth=10)))
    send(engine, "first", order_key="g")
    (lease,) = claim(engine)
    begun(
        link,
        lambda moment: sending(
            [message("a", order_key="g"), message("b", order_key="h", delay=5)],
            moment,
            lasting=True,
        ),
    )
    settle(engine, lease)
    send(engine, "c", order_key="g")
    (other,) = claim(engine)
    assert labels([other]) == ["c"]
    link.say("commit")
    assert labels(claim(engine)) == []
    assert state(engine, "a") is State.READY
    assert state(engine, "b") is State.SCHEDULED
    settle(engine, other)
    assert labels(claim(engine)) == ["a"]


@pytest.mark.parametrize("before", ["g", None])
def test_a_group_that_a_lasting_transaction_is_alone_in_has_its_turn(
    engine: PostgreSQLEngine, link: Link, before: str | None
) -> None:
    send(engine, "first", order_key=before)
    (lease,) = claim(engine)
    begun(link, lambda m: sending([message("a", order_key="g")], m, lasting=True))
    settle(engine, lease)  # the group is over, as far as anybody sees
    link.say("commit")
    (lease,) = claim(engine)
    assert labels([lease]) == ["a"]
    settle(engine, lease)
    send(engine, "b", order_key="g")
    assert labels(claim(engine)) == ["b"]


def test_a_transaction_that_lasts_oversteps_a_limit_only_with_others(
    engine: PostgreSQLEngine, link: Link
) -> None:
    apply(engine, LimitQueue("default", QueueLimits(max_depth=2)))
    send(engine, "a")
    with pytest.raises(QueueFull):
        begun(link, lambda m: sending([message("b"), message("c")], m, lasting=True))
    link.rollback()
    begun(link, lambda m: sending([message("b", order_key="g")], m, lasting=True))
    send(engine, "c")
    link.say("commit")
    assert depth(engine).depth == 3
    with pytest.raises(QueueFull):
        send(engine, "d")


def test_a_job_that_others_may_pass_takes_its_turn_at_once(
    engine: PostgreSQLEngine, link: Link
) -> None:
    first = message("a", order_key="g", order_on_wait="skip")
    begun(link, lambda m: sending([first], m, lasting=True))
    link.say("commit")
    send(engine, "b", order_key="g", order_on_wait="skip")
    assert labels(claim(engine)) == ["a"]


def test_a_replacement_locks_its_own_group_and_the_old_ones_in_one_order(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a", order_key="g2", unique_key="k")
    send(engine, "b", order_key="g1")
    known = link.say("select queue, order_key from headrace.front order by order_key")
    groups = [(queue, key) for queue, key in known]
    assert [key for _, key in groups] == ["g1", "g2"]
    begun(link, lambda _: lock_groups(groups[:1]))
    newer = message("c", order_key="g1", unique_key="k", on_conflict="replace")
    reply = engine.apply(Send((newer,)))
    somebody_waits(postgresql)
    # With the other one locked before, it would stand in the way of this, and this in its.
    link.say("set local lock_timeout = '500ms'")
    run(link.ask, lock_groups(groups[1:]))
    link.say("commit")
    assert reply.wait(10).replaced == (job_id("a"),)


def test_a_new_queue_is_made_before_anything_else_waits(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    begun(link, lambda moment: sending([message("a", unique_key="k")], moment))
    waiting = Send((message("b", unique_key="k", queue="new"), message("c", queue="newer")))
    reply = engine.apply(waiting)
    somebody_waits(postgresql)
    send(engine, "d", queue="new")
    send(engine, "e", queue="newer")
    assert not reply.done
    link.say("rollback")
    reply.wait(10)
    assert labels(claim(engine, 5, queues=("new",))) == ["d", "b"]


def test_many_new_queues_take_one_repetition(engine: PostgreSQLEngine) -> None:
    names = [f"q{number}" for number in range(40)]
    apply(engine, Send(tuple(message(name, queue=name) for name in names)))
    assert len(engine.depth().wait(10)) == 40
