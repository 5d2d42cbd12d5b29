"""A connection on which transactions begin in one round trip and nothing waits for ever."""

import psycopg
import pytest

from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import do
from tests.postgresql import Place

RECEIPT = "0123456789abcdef0123456789abcdef"


def test_a_transaction_knows_the_time_and_leaves_its_receipt(link: Link) -> None:
    now = link.begin(receipt=RECEIPT)
    ((server,),) = link.say("select extract(epoch from clock_timestamp())::float8")
    assert now <= server
    states = [link.idle]
    link.say("commit")
    assert [*states, link.idle] == [False, True]
    assert link.say("select nonce::text from headrace.receipt") == [
        ("01234567-89ab-cdef-0123-456789abcdef",)
    ]


def test_only_what_may_be_lost_is_not_synced(link: Link) -> None:
    link.begin(synced=False)
    assert link.say("show synchronous_commit") == [("off",)]
    link.rollback()
    link.begin()
    assert link.say("show synchronous_commit") != [("off",)]


def test_what_is_promised_is_synced_whatever_the_default(postgresql: Place) -> None:
    lax = f"{postgresql.url}&options=-c%20synchronous_commit%3Doff"
    link = Link(Address(lax))
    link.begin()
    assert link.say("show synchronous_commit") == [("on",)]
    link.rollback()
    link.close()


def test_statements_name_the_schema_that_is_used(link: Link, postgresql: Place) -> None:
    assert link.say("select 'headrace.job'::regclass::oid::regclass::text") == [
        (f"{postgresql.schema}.job",)
    ]
    assert link.ask(do("queue_row", "nobody")) == []
    assert link.ask(do("queue_new", "q", 1.0)) == []


def test_where_there_is_no_pooler_statements_are_prepared(link: Link) -> None:
    assert link.direct
    for _ in range(5):
        link.ask(do("queue_row", "nobody"))
    ((count,),) = link.say("select count(*) from pg_prepared_statements")
    assert count > 0


def test_how_long_an_answer_is_awaited_may_change(link: Link) -> None:
    link.answer_within(0.1)
    with pytest.raises(psycopg.OperationalError, match="said nothing"):
        link.say("select pg_sleep(5)")
    assert link.broken


def test_an_answer_that_does_not_come_ends_the_connection(postgresql: Place) -> None:
    link = Link(Address(postgresql.url), answer_seconds=0.2)
    link.say("set statement_timeout = 0")
    with pytest.raises(psycopg.OperationalError, match="said nothing"):
        link.say("select pg_sleep(60)")
    assert link.broken
    link.rollback()
    link.close()


def test_narrow_statements_go_by_indexes(postgresql: Place) -> None:
    for narrow, setting in ((True, "off"), (False, "on")):
        link = Link(Address(postgresql.url), narrow=narrow)
        assert link.say("show enable_seqscan") == [(setting,)]
        link.close()
