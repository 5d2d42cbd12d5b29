"""What a client says of an endpoint fits, or it is told what does not."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from headrace.gateway.problem import Problem
from headrace.gateway.webhooks.registration import Event, applied, changed, knows, terms, told
from headrace.ids import Ids
from headrace.webhooks.endpoint import Endpoint, SigningKey
from headrace.webhooks.event import TYPES
from headrace.webhooks.signature import new_private_key, new_secret
from tests.unit.gateway.registering import CALLERS, URL


def endpoint(**fields: Any) -> Endpoint:
    given: dict[str, Any] = {
        "id": "ep",
        "url": URL,
        "keys": (SigningKey(new_secret(Ids())),),
        "created_at": 0.0,
    }
    return Endpoint(**(given | fields))


def test_every_type_of_event_can_be_chosen() -> None:
    assert get_args(Event) == TYPES


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({}, "/url"),
        ([], ""),
        ({"url": 1}, "/url"),
        ({"url": URL, "events": ["job.done"]}, "/events/0"),
        ({"url": URL, "queues": ["a b"]}, "/queues/0"),
        ({"url": URL, "queues": ["q"] * 33}, "/queues"),
        ({"url": URL, "tags": ["tenant:other"]}, "/tags/0"),
        ({"url": URL, "note": "x" * 201}, "/note"),
        ({"url": URL, "rate": 0}, "/rate"),
        ({"url": URL, "concurrency": 101}, "/concurrency"),
        ({"url": URL, "concurrency": True}, "/concurrency"),
        ({"url": URL, "secret": "whsec_"}, "/secret"),
    ],
)
def test_what_does_not_fit_is_pointed_at(content: object, pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        terms(content)
    assert caught.value.kind == "validation-failed"
    assert caught.value.members["errors"][0]["pointer"] == pointer


def test_a_merge_patch_changes_what_it_names() -> None:
    before = endpoint(queues=("mail",), rate=5.0)
    after = applied(before, changed(before, {"rate": None, "note": "mine"}))
    assert (after.queues, after.rate, after.note, after.keys) == (
        ("mail",),
        None,
        "mine",
        before.keys,
    )
    assert changed(before, {"concurrency": None}).concurrency == 4
    wrong: object
    for wrong in ([], {"url": None}, {"tenant": "other"}):
        with pytest.raises(Problem):
            changed(before, wrong)


def test_switching_it_on_begins_anew() -> None:
    off = endpoint(enabled=False, disabled_because="410", failing_since=1.0)
    on = applied(off, changed(off, {"enabled": True}))
    assert (on.enabled, on.disabled_because, on.failing_since) == (True, "", None)
    failing = endpoint(failing_since=1.0)
    assert applied(failing, changed(failing, {"note": "x"})).failing_since == 1.0


def test_who_knows_of_it() -> None:
    ours = endpoint(tenant="acme")
    assert knows(CALLERS["acme"], ours)
    assert knows(CALLERS["operator"], ours)
    assert not knows(CALLERS["other"], ours)
    assert not knows(CALLERS["acme"], endpoint())
    # A key for one queue must not turn to itself what another may know.
    assert not knows(CALLERS["acme-mail"], ours)
    assert knows(CALLERS["acme-mail"], endpoint(tenant="acme", bounds=("mail",)))


def test_secrets_are_not_told() -> None:
    private = new_private_key(Ids())
    shown = told(endpoint(keys=(SigningKey(private),)), "/api")
    assert shown["signature"] == "v1a"
    assert shown["public_key"].startswith("whpk_")
    assert private not in str(shown)
    assert shown["links"]["self"] == "/api/v1/webhooks/endpoints/ep"
    plain = endpoint()
    assert plain.keys[0].text not in str(told(plain, ""))
    assert told(plain, "")["public_key"] is None
