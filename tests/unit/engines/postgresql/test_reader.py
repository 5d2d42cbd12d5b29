"""The reader answers one after another, and waits for a server that is away."""

from __future__ import annotations

import psycopg
import pytest

from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.reader import Reader
from headrace.errors import EngineBusy, EngineClosed, EngineError
from tests.postgresql import Place

WAIT = 10


def one(link: Link) -> object:
    return link.say("select 1")


def test_it_answers_and_goes_on_after_an_error(postgresql: Place) -> None:
    reader = Reader(lambda: Link(Address(postgresql.url)), 5.0)
    reader.start()
    with pytest.raises(EngineError, match="schema is not there"):
        reader.look(lambda link: link.say("select * from headrace.nowhere")).wait(WAIT)
    assert reader.look(one).wait(WAIT) == [(1,)]
    reader.close()
    with pytest.raises(EngineClosed):
        reader.look(one).wait(WAIT)


def test_a_lost_connection_is_made_anew(postgresql: Place) -> None:
    reader = Reader(lambda: Link(Address(postgresql.url)), 5.0)
    reader.start()
    links: list[Link] = []

    def cut_once(link: Link) -> object:
        links.append(link)
        if len(links) == 1:
            link.say("select pg_terminate_backend(pg_backend_pid())")
        return one(link)

    assert reader.look(cut_once).wait(WAIT) == [(1,)]
    assert links[0] is not links[1]
    reader.close()


def test_a_server_that_stays_away_is_told_of() -> None:
    def refuse() -> Link:
        raise psycopg.OperationalError("connection refused")

    reader = Reader(refuse, 0.2)
    reader.start()
    with pytest.raises(EngineBusy, match="server is away"):
        reader.look(one).wait(WAIT)
    reader.close()
