"""Beside a job stands who wants to know how it ends."""

from __future__ import annotations

import msgspec

from headrace.message import Message
from headrace.webhooks.interest import CALLBACK, PREFIX, Interest, key, of, read


def test_it_holds_what_can_be_told_of_a_forgotten_job() -> None:
    message = Message(
        v=1, id="j", task="t", body=msgspec.Raw(b"{}"), queue="q", tags=("a",),
        headers={CALLBACK: "https://example.com/", "other": "x"},
    )  # fmt: skip
    put = of(message)
    assert put.key == key("j") == PREFIX + "j"
    assert read(put.value) == Interest("t", "q", ("a",), "https://example.com/")
    assert put.expires_after is None


def test_without_a_callback_an_endpoint_may_want_to_know() -> None:
    message = Message(v=1, id="j", task="t", body=msgspec.Raw(b"{}"))
    assert read(of(message).value).callback is None
