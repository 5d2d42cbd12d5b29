"""What is told of jobs and queues, whatever is in them and whoever asks."""

from __future__ import annotations

import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.reading import drain_rate, is_id, known_ids
from headrace.errors import InvalidOption
from headrace.record import Filter, State
from headrace.testing.steps import PATIENCE, claim, job_id, labels, record, send
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import claimed


def test_what_is_no_id_is_nobodys() -> None:
    assert is_id(job_id("a"))
    assert known_ids([job_id("a"), "x", "{", job_id("b").upper(), "a,b"]) == f"{{{job_id('a')}}}"


def test_strange_ids_are_unknown(engine: PostgreSQLEngine) -> None:
    send(engine, "a")
    assert engine.states(["x", "", job_id("a"), "\0"]).wait(10) == {job_id("a"): State.READY}
    assert engine.get(["nobody"]).wait(10) == {}


def test_open_transactions_are_not_seen(engine: PostgreSQLEngine, link: Link) -> None:
    send(engine, "a")
    claimed(link)
    assert record(engine, "a").state is State.READY
    link.say("commit")
    assert record(engine, "a").state is State.RUNNING
    assert record(engine, "a").holder == "rival"


def test_an_envelope_that_cannot_be_read_is_told_by_its_columns(
    engine: PostgreSQLEngine, link: Link
) -> None:
    send(engine, "a")
    link.say("update headrace.job set envelope = '{\"v\":2}'")
    assert record(engine, "a").message.task == "noop"
    assert claim(engine) == ()
    assert record(engine, "a").state is State.DEAD


def test_lists_go_by_everything_at_once(engine: PostgreSQLEngine) -> None:
    send(engine, "a", tags=("x", "y"), queue="q")
    send(engine, "b", tags=("x",), queue="q")
    send(engine, "c", tags=("x", "y"))
    where = Filter(
        states=(State.READY, State.RUNNING), queues=("q",), tasks=("noop",), tags=("x", "y")
    )
    assert labels(engine.find(where).wait(10).records) == ["a"]
    with pytest.raises(InvalidOption, match="cursor"):
        engine.find(Filter(), cursor="1; drop").wait(10)


def test_the_rate_is_of_the_window_that_says_enough() -> None:
    assert drain_rate(5.0, 10, 100.0, 100.5) == 10.0
    assert drain_rate(50.0, 10, 100.0, 100.5) == 50.0
    assert drain_rate(50.0, 10, 100.0, 110.0) == 1.0


def test_very_many_jobs_are_told_of_before_the_server_knows_how_many_there_are(
    postgresql: Place,
) -> None:
    address = Address(f"{postgresql.server}?schema={postgresql.schema}_many")
    engine = PostgreSQLEngine(
        f"{postgresql.server}?schema={address.schema}", deadline=15.0, allow_unsafe_server=True
    )
    engine.open().wait(PATIENCE)
    link = Link(address)
    try:
        names = [f"{number}" for number in range(5000)]
        send(engine, *names)
        ids = [job_id(name) for name in names]
        assert len(engine.states(ids).wait(PATIENCE)) == len(names)
        assert len(engine.get(ids).wait(PATIENCE)) == len(names)
    finally:
        engine.close().wait(PATIENCE)
        link.say(f"drop schema {address.schema} cascade")
        link.close()
