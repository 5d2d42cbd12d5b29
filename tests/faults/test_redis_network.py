"""The network fails between us and the server: each write happens once, and its answer arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from headrace.engines.redis import RedisEngine
from headrace.errors import Conflict, DuplicateJob
from headrace.record import State
from headrace.testing.steps import claim, claim_one, depth, job_id, message, send, settle, state
from headrace.write import CancelJobs, Put, Send
from tests.faults.cable import Cable, cable
from tests.redis_plants import plant
from tests.redis_server import server


@contextmanager
def over_a_cable(deadline: float = 30.0) -> Iterator[tuple[RedisEngine, Cable]]:
    with server() as served, cable(served.port) as line:
        engine = RedisEngine(f"redis://127.0.0.1:{line.port}/0", poll=0.1, deadline=deadline)
        engine.open().wait(10)
        try:
            yield engine, line
        finally:
            engine.close().wait(60)


@pytest.fixture
def linked() -> Iterator[tuple[RedisEngine, Cable]]:
    with over_a_cable() as both:
        yield both


def losing(line: Cable, call: Callable[[], object], count: int = 1) -> object:
    """Make a call whose answer is lost on its way, some times over."""
    before = line.lost
    line.lose_answers(count)
    answer = call()
    assert line.lost == before + count
    return answer


def test_a_send_whose_answer_was_lost_is_one_send(linked: tuple[RedisEngine, Cable]) -> None:
    engine, line = linked
    send(engine, "0")
    losing(line, lambda: send(engine, "a", "b"))
    assert depth(engine).depth == 3


def test_the_answer_may_be_lost_more_than_once(linked: tuple[RedisEngine, Cable]) -> None:
    engine, line = linked
    send(engine, "0")
    losing(line, lambda: send(engine, "a", unique_key="k"), 4)
    assert depth(engine).depth == 2


def test_a_claim_whose_answer_was_lost_is_told_again(linked: tuple[RedisEngine, Cable]) -> None:
    engine, line = linked
    send(engine, "a", "b", "c")
    leases = losing(line, lambda: claim(engine, 2))
    assert isinstance(leases, tuple)
    assert [lease.job_id for lease in leases] == [job_id("a"), job_id("b")]
    assert depth(engine).running == 2
    for lease in leases:
        assert settle(engine, lease).lost == frozenset()


def test_a_settlement_whose_answer_was_lost_is_not_lost(linked: tuple[RedisEngine, Cable]) -> None:
    engine, line = linked
    send(engine, "a")
    lease = claim_one(engine)
    losing(line, lambda: settle(engine, lease))
    assert state(engine, "a") is State.SUCCEEDED


def test_a_compare_and_set_whose_answer_was_lost_finds_no_rival(
    linked: tuple[RedisEngine, Cable],
) -> None:
    engine, line = linked
    send(engine, "a")
    first, second = Put("k", b"1", expect=0), Put("k", b"2", expect=1)
    losing(line, lambda: engine.apply(first).wait(20))
    losing(line, lambda: engine.commit([second, CancelJobs((job_id("a"),))]).wait(20))
    entry = engine.load(["k"]).wait(20).get("k")
    assert entry is not None
    assert entry.version == 2


def test_a_refusal_is_told_again(linked: tuple[RedisEngine, Cable]) -> None:
    engine, line = linked
    send(engine, "a")
    line.lose_answers()
    with pytest.raises(DuplicateJob):
        send(engine, "a")


def test_cut_connections_are_made_anew(linked: tuple[RedisEngine, Cable]) -> None:
    engine, line = linked
    for name in ("a", "b", "c"):
        line.cut()
        send(engine, name)
        line.cut()
        assert state(engine, name) is State.READY
    assert depth(engine).depth == 3


def test_half_a_cable_is_taken_for_none() -> None:
    with over_a_cable(deadline=6.0) as (engine, line):
        send(engine, "a")
        line.swallow_answers()
        reply = engine.apply(Send((message("b"),)))
        with pytest.raises(Exception, match="no answer"):
            reply.wait(1.0)
        line.mend()
        reply.wait(10)
        assert depth(engine).depth == 2


@pytest.mark.parametrize(
    "finder",
    [
        test_a_send_whose_answer_was_lost_is_one_send,
        test_a_compare_and_set_whose_answer_was_lost_finds_no_rival,
    ],
)
def test_a_server_that_remembers_no_answer_is_found_out(
    finder: Callable[[tuple[RedisEngine, Cable]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "if told then", "if false then")
    with over_a_cable() as linked, pytest.raises((DuplicateJob, Conflict)):
        finder(linked)
