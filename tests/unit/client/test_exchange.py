"""An answer knows whether it is what was asked for."""

from __future__ import annotations

import pytest

from headrace.client.exchange import Answer, Request


@pytest.mark.parametrize(
    ("status", "fine"), [(0, False), (200, True), (202, True), (304, True), (404, False)]
)
def test_an_answer_is_fine_or_not(status: int, *, fine: bool) -> None:
    assert Answer(status).fine is fine


def test_a_request_may_be_sent_again_unless_it_says_otherwise() -> None:
    assert Request(method="GET", path="/v1/jobs").again
