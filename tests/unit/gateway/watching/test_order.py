"""What a client says over a WebSocket is read strictly."""

from __future__ import annotations

import pytest

from headrace.errors import InvalidOption
from headrace.gateway.caller import ANONYMOUS, Caller
from headrace.gateway.problem import Problem
from headrace.gateway.watching.order import (
    MISREAD,
    Order,
    Subscription,
    cursor_at,
    cursor_of,
    introduction,
    read,
)


def test_orders_are_read() -> None:
    assert read('{"op": "ping"}') == Order(op="ping")
    told = read('{"op": "subscribe", "jobs": ["a"], "tags": ["t"], "cursor": "1"}')
    assert told == Subscription(op="subscribe", jobs=("a",), tags=("t",), cursor="1")
    assert introduction('{"op": "auth", "token": "t"}').token == "t"  # noqa: S105 - no secret


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        '{"op": "auth"}',
        '{"op": "ping", "x": 1}',
        '{"op": "subscribe", "tags": "t"}',
        "[" * 5000,
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(MISREAD):
        read(text)


@pytest.mark.parametrize("text", ['{"op": "ping"}', '{"op": "auth", "token": 1}', "{}"])
def test_what_introduces_nobody_is_refused(text: str) -> None:
    with pytest.raises(MISREAD):
        introduction(text)


def test_a_subscription_is_checked() -> None:
    Subscription(op="subscribe", tags=("t",), queues=("mail",)).check(ANONYMOUS)
    bound = Caller(name="k", queues=("pdf",))
    with pytest.raises(Problem, match="queue mail"):
        Subscription(op="subscribe", queues=("mail",)).check(bound)
    with pytest.raises(InvalidOption):
        Subscription(op="subscribe", queues=(">",)).check(ANONYMOUS)
    for tag in ("tenant:x", "trace:x", "", "t" * 256):
        with pytest.raises(Problem):
            Subscription(op="subscribe", tags=(tag,)).check(ANONYMOUS)


def test_a_cursor_is_a_moment() -> None:
    assert cursor_at(cursor_of(1234.567)) == 1234.567
    assert cursor_of(-1) == "0"
    for text in ("", "x", "1" * 13, "-1"):
        with pytest.raises(Problem):
            cursor_at(text)
