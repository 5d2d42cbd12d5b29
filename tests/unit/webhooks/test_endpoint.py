"""An endpoint is told of what it wants, and signs with what is current."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.webhooks.endpoint import Endpoint, SigningKey, current, rotated, tenant_of


def endpoint(**fields: Any) -> Endpoint:
    given: dict[str, Any] = {
        "id": "ep",
        "url": "https://example.com/",
        "keys": (),
        "created_at": 0.0,
    }
    return Endpoint(**(given | fields))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, True),
        ({"queues": ("mail-*",)}, True),
        ({"queues": ("other", "mail")}, False),
        ({"bounds": ("mail-*",)}, True),
        ({"bounds": ("pay-*",), "queues": ("mail-*",)}, False),
        ({"tasks": ("send*",)}, True),
        ({"tasks": ("Send*",)}, False),
        ({"tags": ("april",)}, True),
        ({"tags": ("april", "may")}, False),
        ({"tenant": "acme"}, True),
        ({"tenant": "other"}, False),
        ({"tenant": "acm"}, False),
        ({"enabled": False}, False),
    ],
)
def test_filters(fields: dict[str, Any], wanted: object) -> None:
    tags = ("april", "tenant:acme")
    assert endpoint(**fields).may_want("send_mail", "mail-eu", tags) is wanted


def test_events() -> None:
    assert endpoint().wants("headrace.job.dead")
    assert endpoint(events=("headrace.job.dead",)).wants("headrace.job.dead")
    assert not endpoint(events=("headrace.job.dead",)).wants("headrace.job.succeeded")


def test_an_old_key_signs_for_a_while() -> None:
    keys = rotated((SigningKey("whsec_1"), SigningKey("whsk_1")), "whsec_2", 100.0, 60.0)
    assert current(keys, 100.0) == ["whsec_2", "whsec_1", "whsk_1"]
    assert current(keys, 160.0) == ["whsec_2", "whsk_1"]
    again = rotated(keys, "whsec_3", 120.0, 0.0)
    assert current(again, 120.0) == ["whsec_3", "whsec_1", "whsk_1"]
    assert len(rotated(again, "whsk_2", 200.0, 60.0)) == 3


def test_the_tenant_of_a_job() -> None:
    assert tenant_of(("april", "tenant:acme")) == "acme"
    assert tenant_of(("april",)) is None
