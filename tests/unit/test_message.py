"""The envelope: one JSON text, which old and new readers understand alike."""

from __future__ import annotations

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidOption
from headrace.message import (
    KEY_LENGTH_LIMIT,
    VERSION,
    Message,
    Retention,
    check_key,
    check_name,
)
from headrace.retry import RetryPolicy

PLAIN = Message(v=VERSION, id="1", task="t", body=msgspec.Raw(b'{"a":1}'))
FULL = msgspec.structs.replace(
    PLAIN,
    queue="q",
    priority=-3,
    run_at=1.5,
    expires_after=2.5,
    unique_key="ключ ✓",
    on_conflict="replace",
    order_key="o",
    order_on_wait="skip",
    attempt=2,
    timeout=1.0,
    lease=2.0,
    retry=RetryPolicy(attempts=2),
    retention=Retention(succeeded=1.0),
    tags=("a", "b"),
    headers={"k": "v"},
    trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


@pytest.mark.parametrize("message", [PLAIN, FULL], ids=["plain", "full"])
def test_a_message_survives_the_wire(message: Message) -> None:
    text = msgspec.json.encode(message)
    back = msgspec.json.decode(text, type=Message)
    assert back == message
    assert msgspec.json.encode(back) == text


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1, "7d", None, True, 1e10])
@pytest.mark.parametrize("name", ["succeeded", "dead"])
def test_a_retention_is_seconds_and_comes_to_an_end(name: str, seconds: Any) -> None:
    with pytest.raises(InvalidOption, match=name):
        Retention(**{name: seconds})
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({name: seconds}, Retention, strict=False)


def test_what_is_as_always_is_not_sent() -> None:
    assert msgspec.json.encode(PLAIN) == b'{"v":1,"id":"1","task":"t","body":{"a":1}}'


def test_the_version_is_always_sent() -> None:
    assert b'"v":1' in msgspec.json.encode(PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        b'{"id":"1","task":"t","body":{}}',
        b'{"v":1,"task":"t","body":{}}',
        b'{"v":1,"id":"1","body":{}}',
        b'{"v":1,"id":"1","task":"t"}',
        b'{"v":1,"id":"1","task":"t","body":{},"surprise":1}',
        b'{"v":1,"id":"1","task":"t","body":{},"priority":"high"}',
        b'{"v":1,"id":"1","task":"t","body":{},"priority":1.5}',
        b'{"v":1,"id":"1","task":"t","body":{},"on_conflict":"ignore"}',
        b'{"v":1,"id":"1","task":"t","body":{},"order_on_wait":"wait"}',
        b'{"v":1,"id":"1","task":"t","body":{},"headers":{"a":1}}',
        b'{"v":1,"id":"1","task":"t","body":{},"retry":{"attempts":0}}',
    ],
)
def test_what_is_no_message_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Message)


def test_messages_share_no_headers() -> None:
    one, two = (Message(v=1, id="1", task="t", body=msgspec.Raw(b"{}")) for _ in range(2))
    assert one.headers is not two.headers


def test_a_message_does_not_change() -> None:
    with pytest.raises(AttributeError):
        PLAIN.priority = 9  # type: ignore[misc] # that is the point


def test_retention_is_a_week_and_a_month_by_default() -> None:
    assert Retention() == Retention(succeeded=7 * 86_400, dead=30 * 86_400)


@pytest.mark.parametrize("name", ["a", "_", "9", "a.b:c-d_E", "x" * 128])
def test_a_name(name: str) -> None:
    assert check_name("queue", name) == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 129, "-a", ".a", ":a", "a b", "a\n", "é", "a/b", "a\0", "а"],  # noqa: RUF001 - the last one is Cyrillic
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="queue name"):
        check_name("queue", name)


@given(st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=128))
def test_every_word_is_a_name(name: str) -> None:
    assert check_name("task", name) == name


@pytest.mark.parametrize("key", ["a", "customer 7", "ключ ✓", "x" * KEY_LENGTH_LIMIT, " "])
def test_a_key(key: str) -> None:
    assert check_key("unique key", key) == key


@pytest.mark.parametrize(
    "key", ["", "x" * (KEY_LENGTH_LIMIT + 1), "a\n", "\0", "\ud800", "\u202e", "\x7f"]
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidOption, match="unique key"):
        check_key("unique key", key)


def test_a_refusal_of_something_long_is_short() -> None:
    with pytest.raises(InvalidOption) as refused:
        check_key("unique key", "x" * 100_000)
    assert len(str(refused.value)) < 400
