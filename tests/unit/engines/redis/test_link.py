"""A connection is made when it is needed, and anew when it broke."""

from __future__ import annotations

import threading

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from headrace.engines.redis.address import Address, parse
from headrace.engines.redis.link import Away, Link, field
from headrace.engines.redis.scripts import STATES
from tests.redis_server import Server, server


def test_answers_come_in_the_order_of_the_calls(link: Link, address: Address) -> None:
    key = f"{address.key}:x"
    answers = link.ask([("SET", key, "1"), ("INCR", key), ("GET", key), ("DEL", key)])
    assert answers == [b"OK", 2, b"2", 1]


def test_an_error_is_an_answer_among_others(link: Link) -> None:
    first, error, last = link.ask([("PING",), ("NOSUCHCOMMAND",), ("PING",)])
    assert (first, last) == (b"PONG", b"PONG")
    assert isinstance(error, ResponseError)


def test_it_knows_which_start_of_the_server_it_talks_to(link: Link) -> None:
    link.connect()
    (info,) = link.ask([("INFO", "server")])
    assert link.run == field(info, "run_id")
    assert len(link.run) == 40


def test_it_connects_again_after_it_was_closed(link: Link) -> None:
    for _ in range(2):
        assert link.ask([("PING",)]) == [b"PONG"]
        link.close()
        link.close()


def test_a_script_that_the_server_forgot_is_sent_again(link: Link, address: Address) -> None:
    link.connect()
    # A script with one letter more is unknown for certain, and no other test's is flushed.
    (unknown,) = link.ask([("EVALSHA", "0" * 40, 0)])
    assert type(unknown).__name__ == "NoScriptError"
    header = b"\x95\xc2\xc2\xa0\xa0\x00"
    assert link.ask([("EVALSHA", STATES.sha, 1, address.key, header, b"\x90")]) == [[]]


def test_where_nobody_answers_nothing_was_sent() -> None:
    with pytest.raises(Away) as away:
        Link(parse("redis://:s3cret@127.0.0.1:1/0")).ask([("PING",)])
    assert not away.value.sent
    assert "127.0.0.1:1" in str(away.value)
    assert "s3cret" not in str(away.value)


def test_fields_are_found_in_what_info_says() -> None:
    info = b"# Server\r\nrun_id:abc\r\nempty:\r\n"
    assert field(info, "run_id") == "abc"
    assert field(info, "empty") == ""
    assert field(info, "other") == ""


def test_a_server_that_is_busy_with_a_script_is_away() -> None:
    script = "while true do end"
    with server(busy_reply_threshold="50") as served:
        slow = threading.Thread(target=_run, args=(served, script))
        slow.start()
        link = Link(parse(served.url), 2.0)
        with served.client() as client:
            while not _busy(client):
                pass
            with pytest.raises(Away, match="BUSY"):
                link.connect()
            client.script_kill()
        slow.join()
        assert link.ask([("PING",)]) == [b"PONG"]
        link.close()


def _run(served: Server, script: str) -> None:
    with served.client() as client, pytest.raises(ResponseError, match="killed"):
        client.eval(script, 0)


def _busy(client: Redis) -> bool:
    try:
        client.get("x")
    except ResponseError as error:
        return "BUSY" in str(error)
    return False
