"""Who shows a key that holds is admitted; who does not is told nothing but that."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import App
from headrace.gateway import Gateway, Settings
from headrace.gateway.door.doorkeeper import CACHE_SECONDS
from headrace.gateway.door.keys import Key, create, revoke, rotate
from headrace.testing.clock import ManualClock
from tests.unit.gateway.asking import Asker

READ = "/v1/jobs/00000000-0000-7000-8000-000000000000"


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock to move."""
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock) -> Any:
    """Give an App whose time is moved."""
    with App("memory:", clock=clock) as app:

        @app.task
        def paint(what: str) -> str:
            return what

        yield app


def made(app: App, **terms: Any) -> tuple[Key, str]:
    """Make a key, and remember it."""
    key, token = create(app.ids, app.clock.now(), **({"scopes": ("jobs:read",)} | terms))
    app.engine.apply(key.put()).wait(5)
    return key, token


def test_a_key_admits(app: App) -> None:
    _, token = made(app)
    gateway = Gateway(app)
    assert Asker(gateway, token)("GET", READ).status_code == 404
    assert (
        Asker(gateway)("GET", READ, headers={"authorization": f"bEARER {token}"}).status_code == 404
    )


def test_refusals_look_the_same(app: App) -> None:
    _, token = made(app)
    _, expired = made(app, expires_at=app.clock.now())
    gone, revoked = made(app)
    app.engine.apply(revoke(gone, app.clock.now()).put()).wait(5)
    unknown = "hr_" + "0" * 16 + token[-65:]
    gateway = Gateway(app)
    wrong = token[:-4] + ("0000" if token[-4:] != "0000" else "1111")
    told = [
        Asker(gateway, shown)("GET", READ)
        for shown in (wrong, unknown, expired, revoked, "nonsense", "x" * 8192, token + "0", "")
    ]
    assert {answer.status_code for answer in told} == {401}
    assert len({answer.content for answer in told}) == 1
    assert {answer.headers["WWW-Authenticate"] for answer in told} == {
        'Bearer realm="headrace", error="invalid_token"'
    }


def test_who_shows_nothing_is_told_what_to_show(app: App) -> None:
    told = Asker(Gateway(app))("GET", READ)
    assert told.status_code == 401
    assert told.headers["WWW-Authenticate"] == 'Bearer realm="headrace"'
    assert "Authorization: Bearer" in told.json()["detail"]


def test_other_ways_to_authenticate(app: App) -> None:
    _, token = made(app)
    ask = Asker(Gateway(app))
    assert ask("GET", READ, headers={"Authorization": "Basic aHI6aHI="}).status_code == 401
    assert ask("GET", READ, headers={"Authorization": token}).status_code == 401
    twice = Asker(Gateway(app), token)
    told = twice("GET", READ, headers={"authorization": f"Bearer {token}"})
    assert told.status_code == 400
    assert 'error="invalid_request"' in told.headers["WWW-Authenticate"]


def test_what_a_key_is_not_good_for(app: App) -> None:
    _, token = made(app)
    told = Asker(Gateway(app), token)("POST", "/v1/tasks/paint", json={"what": "cat"})
    assert told.status_code == 403
    assert told.headers["WWW-Authenticate"] == (
        'Bearer error="insufficient_scope", scope="jobs:submit"'
    )


def test_anonymous_only_where_it_is_allowed_and_never_with_a_bad_key(app: App) -> None:
    open_door = Gateway(app, Settings(anonymous=True))
    assert Asker(open_door)("GET", READ).status_code == 404
    assert Asker(open_door, "nonsense")("GET", READ).status_code == 401


def test_a_revoked_key_opens_nothing_soon_after(app: App, clock: ManualClock) -> None:
    key, token = made(app)
    ask = Asker(Gateway(app), token)
    assert ask("GET", READ).status_code == 404
    app.engine.apply(revoke(key, app.clock.now()).put()).wait(5)
    clock.advance(CACHE_SECONDS)
    assert CACHE_SECONDS < 5
    assert ask("GET", READ).status_code == 401


def test_expiry_does_not_wait_for_the_cache(app: App, clock: ManualClock) -> None:
    _, token = made(app, expires_at=app.clock.now() + 1.0)
    ask = Asker(Gateway(app), token)
    assert ask("GET", READ).status_code == 404
    clock.advance(1.0)
    assert ask("GET", READ).status_code == 401


def test_rotation(app: App, clock: ManualClock) -> None:
    key, old = made(app)
    changed, new = rotate(key, app.ids, app.clock.now(), grace=60.0)
    app.engine.apply(changed.put()).wait(5)
    gateway = Gateway(app)
    assert Asker(gateway, new)("GET", READ).status_code == 404
    assert Asker(gateway, old)("GET", READ).status_code == 404
    clock.advance(60.0)
    assert Asker(gateway, new)("GET", READ).status_code == 404
    assert Asker(gateway, old)("GET", READ).status_code == 401


def test_the_last_use_is_remembered_about(app: App, clock: ManualClock) -> None:
    key, token = made(app)
    ask = Asker(Gateway(app), token)

    def uses() -> list[tuple[bytes, int]]:
        found = app.engine.scan("key-use/").wait(5)
        assert {entry.key for entry in found} <= {f"key-use/{key.id}"}
        return [(entry.value, entry.version) for entry in found]

    assert uses() == []
    ask("GET", READ)
    first = b"%d" % clock.now()
    assert uses() == [(first, 1)]
    clock.advance(3599.0)
    ask("GET", READ)
    assert uses() == [(first, 1)]
    clock.advance(1.0)
    ask("GET", READ)
    assert uses() == [(b"%d" % clock.now(), 2)]


def test_a_cache_that_is_full_begins_anew(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.gateway.door.doorkeeper._CACHE_LIMIT", 3)
    _, token = made(app)
    gateway = Gateway(app)
    for number in range(10):
        assert Asker(gateway, f"hr_{number:016x}_{token[-64:]}")("GET", READ).status_code == 401
    assert Asker(gateway, token)("GET", READ).status_code == 404
