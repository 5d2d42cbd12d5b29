"""Endpoints are registered, changed and removed, each by its owner alone."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.app import App
from headrace.gateway.webhooks import endpoints as module
from headrace.webhooks.endpoint import Endpoint
from headrace.webhooks.endpoints import read_all
from headrace.webhooks.envelope import content
from tests.unit.gateway.registering import DELIVERIES, ENDPOINTS, URL, Ask, asker, resolve


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, hooks="8.8.8.8", inside="10.0.0.1")


@pytest.fixture
def ask(app: App) -> Ask:
    return asker(app)


def register(ask: Ask, who: str = "acme", **fields: Any) -> dict[str, Any]:
    answer = ask(who, "POST", ENDPOINTS, json={"url": URL, **fields})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def stored(app: App) -> Endpoint:
    (endpoint,) = read_all(app.engine, 30.0)
    return endpoint


def test_it_is_registered_and_its_secret_shown_once(app: App, ask: Ask) -> None:
    wanted = {"url": URL, "events": ["headrace.job.dead"], "queues": ["mail-*"], "rate": 2}
    answer = ask("acme", "POST", ENDPOINTS, json=wanted)
    told = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{ENDPOINTS}/{told['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert told["secret"] == stored(app).keys[0].text
    assert stored(app).tenant == "acme"
    shown = ask("acme", "GET", answer.headers["location"])
    assert shown.headers["etag"] == answer.headers["etag"] == '"1"'
    del told["secret"]
    assert shown.json() == told
    assert {name: told[name] for name in wanted} == wanted


def test_with_a_pair_of_keys_only_the_public_one_is_told(ask: Ask) -> None:
    told = register(ask, signature="v1a")
    assert told["secret"] is None
    assert told["public_key"].startswith("whpk_")
    assert "whsk_" not in str(told)
    answer = ask("acme", "POST", ENDPOINTS, json={"url": URL, "signature": "v2"})
    assert answer.json()["errors"][0]["pointer"] == "/signature"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://inside.example.com/",
        "https://10.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://a@hooks.example.com/",
        "https://hooks.example.com:22/",
        "ftp://hooks.example.com/",
        "hooks",
    ],
)
def test_where_nothing_may_be_sent_nothing_is_registered(app: App, ask: Ask, url: str) -> None:
    answer = ask("acme", "POST", ENDPOINTS, json={"url": url})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/url"
    mine = register(ask)["id"]
    assert ask("acme", "PATCH", f"{ENDPOINTS}/{mine}", json={"url": url}).status_code == 422
    assert stored(app).url == URL


def test_a_name_may_get_its_address_later(ask: Ask) -> None:
    assert register(ask, url="https://soon.example.com")["url"] == "https://soon.example.com/"


def test_everybody_sees_their_own(ask: Ask) -> None:
    ours = register(ask, "acme")["id"]
    theirs = register(ask, "other")["id"]
    place = f"{ENDPOINTS}/{ours}"

    def seen(who: str) -> list[str]:
        return [each["id"] for each in ask(who, "GET", ENDPOINTS).json()["endpoints"]]

    assert (seen("acme"), seen("other"), seen("acme-mail")) == ([ours], [theirs], [])
    assert set(seen("operator")) == {ours, theirs}
    unknown = ask("acme", "GET", f"{ENDPOINTS}/nobody")
    for method, path in (
        ("GET", place),
        ("PATCH", place),
        ("DELETE", place),
        ("POST", f"{place}/rotate-secret"),
        ("POST", f"{place}/ping"),
        ("POST", f"{place}/redeliver"),
        ("GET", f"{DELIVERIES}?endpoint={ours}"),
    ):
        answer = ask("other", method, path)
        assert (answer.status_code, answer.content) == (404, unknown.content)
        assert ask("reader", method, path).status_code == 403
        assert ask("nobody", method, path).status_code == 401


def test_a_change_is_about_a_version(ask: Ask) -> None:
    place = f"{ENDPOINTS}/{register(ask)['id']}"
    patch = {"content": b'{"note":"a"}', "headers": {"content-type": module.MERGE_PATCH}}
    answer = ask("acme", "PATCH", place, **patch)
    assert (answer.status_code, answer.json()["note"]) == (200, "a")
    assert answer.headers["etag"] == '"2"'
    for wanted, status in (
        ('"1"', 412),
        ('W/"2"', 412),
        ('"1", "2"', 200),
        ("*", 200),
        ('"9"', 412),
    ):
        answer = ask("acme", "PATCH", place, json={"note": "b"}, headers={"If-Match": wanted})
        assert answer.status_code == status
    assert ask("acme", "DELETE", place, headers={"If-Match": '"1"'}).status_code == 412
    assert ask("acme", "DELETE", place).status_code == 204
    assert ask("acme", "GET", place).status_code == 404


def test_a_new_secret_signs_beside_the_old_one(app: App, ask: Ask) -> None:
    first = register(ask)
    place = f"{ENDPOINTS}/{first['id']}/rotate-secret"
    second = ask("acme", "POST", place).json()
    assert second["secret"] != first["secret"]
    new, old = stored(app).keys
    assert (new.text, old.text) == (second["secret"], first["secret"])
    assert old.until == pytest.approx(app.clock.now() + 86_400, abs=60)
    ask("acme", "POST", place, json={"overlap": 0})
    assert len(stored(app).keys) == 3
    assert ask("acme", "POST", place, json={"overlap": -1}).status_code == 422
    assert ask("acme", "POST", place, json={"overlaps": 1}).status_code == 422


def test_a_ping_is_a_delivery(app: App, ask: Ask) -> None:
    mine = register(ask)["id"]
    answer = ask("acme", "POST", f"{ENDPOINTS}/{mine}/ping")
    assert answer.status_code == 202
    told = ask("acme", "GET", answer.headers["location"]).json()
    assert (told["type"], told["endpoint"], told["state"]) == ("headrace.ping", mine, "ready")
    record = app.job(told["id"]).record
    assert record is not None
    assert content(record.message).endpoint == mine
    assert "tenant:acme" in record.message.tags
    ask("acme", "PATCH", f"{ENDPOINTS}/{mine}", json={"enabled": False})
    assert ask("acme", "POST", f"{ENDPOINTS}/{mine}/ping").status_code == 409


def test_a_tenant_has_only_so_many(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 1)
    register(ask, "acme")
    assert ask("acme", "POST", ENDPOINTS, json={"url": URL}).status_code == 409
    register(ask, "other")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"", 400), (b"[]", 422), (b'{"url":"x","url":"y"}', 400), (b"\xff", 400)],
)
def test_a_body_that_is_none(ask: Ask, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    assert ask("acme", "POST", ENDPOINTS, content=body, headers=headers).status_code == status
    headers = {"content-type": "text/plain"}
    assert ask("acme", "POST", ENDPOINTS, content=b"{}", headers=headers).status_code == 415
