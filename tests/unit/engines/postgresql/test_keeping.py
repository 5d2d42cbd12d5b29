"""Housekeeping adds up, forgets and prunes, and rivals share it."""

from __future__ import annotations

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.keeping import FEW_PAGES, Rounds, Search
from headrace.engines.postgresql.keeping import maintain as maintaining
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import run
from headrace.message import Retention
from headrace.testing.steps import apply, claim, depth, maintain, send, settle, state
from headrace.write import Put
from tests.postgresql import some_place
from tests.unit.engines.postgresql.rivals import begun

AT_ONCE = Retention(succeeded=0.0, dead=0.0)


def count(link: Link, table: str) -> int:
    ((number,),) = link.say(f"select count(*) from headrace.{table}")  # noqa: S608 - a test's own
    return int(number)


def test_what_came_and_went_is_added_up(engine: PostgreSQLEngine, link: Link) -> None:
    for name in "abc":
        send(engine, name)
    settle(engine, claim(engine)[0])
    before = depth(engine)
    assert count(link, "flow") == 4
    maintain(engine)
    assert count(link, "flow") == 0
    assert (depth(engine).depth, depth(engine).bytes) == (before.depth, before.bytes)
    assert depth(engine).drain_rate > 0


def test_only_one_adds_up_at_a_time(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "a")
    begun(link, maintaining)
    send(engine, "b")
    maintain(engine)  # which does not wait, and leaves it
    link.say("commit")
    assert count(link, "flow") == 1
    assert depth(engine).depth == 2


def test_nothing_is_written_when_there_is_nothing_to_do(
    engine: PostgreSQLEngine, link: Link
) -> None:
    send(engine, "a", delay=3600.0)
    assert maintain(engine).reclaimed == 0
    receipts = count(link, "receipt")
    assert maintain(engine).reclaimed == 0
    assert count(link, "receipt") == receipts
    send(engine, "b")
    maintain(engine)
    assert count(link, "flow") == 0


def test_two_prune_each_its_own(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "a", "b", retention=AT_ONCE, tags=("x",))
    for lease in claim(engine, 2):
        settle(engine, lease)
    begun(link, maintaining)
    assert maintain(engine).pruned == 0
    link.say("commit")
    assert state(engine, "a") is None
    assert [count(link, table) for table in ("job", "finished", "tag", "history")] == [0] * 4


def test_old_receipts_and_entries_are_forgotten(engine: PostgreSQLEngine, link: Link) -> None:
    apply(engine, Put("k", b"1", expires_after=-1.0))
    link.say("update headrace.receipt set written_at = written_at - 3600")
    maintain(engine)
    assert count(link, "entry") == 0
    assert count(link, "receipt") <= 1


def test_leases_are_looked_at_each_time_as_long_as_that_is_cheap(
    engine: PostgreSQLEngine, link: Link
) -> None:
    rounds = Rounds(lambda: 0.0)
    assert rounds.next() == Search()
    send(engine, "a")
    claim(engine, seconds=-1.0)
    for _ in range(2):
        search = rounds.next()
        assert run(link.ask, rounds.due(None, search)) == search
        assert search.leases
    maintain(engine)
    assert run(link.ask, rounds.due(None, rounds.next())) is None


def test_leases_that_are_gone_but_stay_make_looks_rare_and_not_too_rare() -> None:
    now = [0.0]
    rounds = Rounds(lambda: now[0])
    with some_place() as place:
        link = Link(Address(place.url))
        link.begin()
        many = f"generate_series(1, {100 * FEW_PAGES}) seq"
        link.say(f"insert into headrace.running select seq, 1, 'w', 0 from {many}")  # noqa: S608 - a number
        link.rollback()
        assert run(link.ask, rounds.due(None, rounds.next())) is None
        assert not rounds.next().leases
        now[0] += 10.0
        assert rounds.next().leases
        link.close()
