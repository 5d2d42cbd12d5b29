"""A body has the right type and size, and is there in time, or its request is refused."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from starlette.requests import ClientDisconnect, Request

from headrace.gateway.handover.body import JSON, JSON_LINES, Head, lines, media_type, whole
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings
from tests.unit.gateway.arriving import GONE, arriving, part

SMALL = Settings(max_body=10, max_stream=20)
SHORT = Settings(max_body=10, body_timeout=0.01)
NO_FIELDS: Head = {}


def body(request: Request, settings: Settings = SMALL, head: Head = NO_FIELDS) -> bytes:
    return asyncio.run(whole(request, head, settings))


def body_lines(request: Request, settings: Settings = SMALL) -> list[bytes]:
    async def read() -> list[bytes]:
        async with aclosing(lines(request, {}, settings)) as arriving:
            return [line async for line in arriving]

    return asyncio.run(read())


@pytest.mark.parametrize(
    "given",
    [b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8"'],
)
def test_json_is_json_however_it_is_written(given: bytes) -> None:
    assert media_type({b"content-type": given}, JSON) == JSON


@pytest.mark.parametrize(
    "given",
    [b"", b"text/json", b"application/json; charset=latin-1", b"application/json; v=1", b"\xff"],
)
def test_another_type_is_refused_with_what_is_read(given: bytes) -> None:
    with pytest.raises(Problem, match="must be application/json or application/jsonl") as caught:
        media_type({b"content-type": given}, JSON, JSON_LINES[0])
    assert caught.value.status == 415
    assert caught.value.headers == {"Accept": "application/json, application/jsonl"}


def test_an_encoding_is_refused_unless_it_is_none() -> None:
    head = {b"content-type": b"application/json", b"content-encoding": b"gzip"}
    with pytest.raises(Problem, match="without a Content-Encoding") as caught:
        media_type(head, JSON)
    assert caught.value.headers == {"Accept-Encoding": "identity"}
    assert media_type(head | {b"content-encoding": b"Identity"}, JSON) == JSON


def test_the_parts_of_a_body_are_one() -> None:
    request = arriving(part(b"12345", more=True), part(b"", more=True), part(b"67890"))
    assert body(request) == b"1234567890"


def test_a_length_over_the_limit_is_refused_unread() -> None:
    for length in (b"11", b"9" * 1000):
        with pytest.raises(Problem, match="the limit is 10 bytes") as caught:
            body(arriving(), head={b"content-length": length})
        assert caught.value.status == 413
        assert caught.value.headers == {"Connection": "close"}


def test_a_body_over_the_limit_is_refused_as_soon_as_it_is() -> None:
    with pytest.raises(Problem, match="the limit is 10 bytes"):
        body(arriving(part(b"12345", more=True), part(b"678901", more=True)))


def test_http_2_has_no_connection_to_close() -> None:
    request = arriving(part(b"12345678901"))
    request.scope["http_version"] = "2"
    with pytest.raises(Problem) as caught:
        body(request)
    assert caught.value.headers == {}


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with pytest.raises(Problem, match=r"within 0\.01 s") as caught:
        body(arriving(part(b"1", more=True)), SHORT)
    assert caught.value.status == 408


def test_whoever_cancels_a_request_is_not_told_that_it_was_slow() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(whole(arriving(), {}, SMALL))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


def test_a_client_that_leaves_is_not_waited_for() -> None:
    with pytest.raises(ClientDisconnect):
        body(arriving(part(b"1", more=True), GONE))


def test_lines_are_cut_wherever_parts_end() -> None:
    request = arriving(part(b"{1}\n\n {", more=True), part(b"2}\r\n{3", more=True), part(b"}"))
    assert body_lines(request) == [b"{1}", b"{2}", b"{3}"]


def test_lines_may_be_more_than_a_body_but_not_each() -> None:
    assert (
        body_lines(arriving(part(b"12345678\n", more=True), part(b"12345678\n")))
        == [b"12345678"] * 2
    )
    with pytest.raises(Problem, match="a line is too large; the limit is 10 bytes"):
        body_lines(arriving(part(b"12345678901", more=True), part(b"")))
    with pytest.raises(Problem, match="the body is too large; the limit is 20 bytes"):
        body_lines(arriving(part(b"1\n" * 10, more=True), part(b"1")))
