"""Probes are answered to everybody, and tell the process from its database."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import App
from headrace.errors import EngineBusy
from headrace.gateway import Gateway, health
from headrace.reply import Reply
from tests.unit.gateway.asking import Asker


@pytest.fixture
def gateway(app: App) -> Gateway:
    """Give a gateway that admits nobody without a key."""
    return Gateway(app)


def failing(*_: object, **__: object) -> Reply[Any]:
    """Answer that the engine is in trouble."""
    reply = Reply[Any]()
    reply.fail(EngineBusy("busy: at /srv/secret.db"))
    return reply


def silent(*_: object, **__: object) -> Reply[Any]:
    """Answer nothing."""
    return Reply[Any]()


def test_all_is_well(gateway: Gateway) -> None:
    for path in ("/livez", "/readyz"):
        told = Asker(gateway)("GET", path)
        assert (told.status_code, told.json()) == (200, {"status": "ok"})
        assert told.headers["Cache-Control"] == "no-store"
        assert Asker(gateway)("HEAD", path).status_code == 200


@pytest.mark.parametrize("engine", [failing, silent])
def test_an_engine_in_trouble(
    gateway: Gateway, app: App, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "READY_SECONDS", 0.01)
    monkeypatch.setattr(app.engine, "scan", engine)
    assert Asker(gateway)("GET", "/livez").status_code == 200
    told = Asker(gateway)("GET", "/readyz")
    assert told.status_code == 503
    assert "secret" not in told.text


def test_a_process_that_drains_lives_and_is_not_ready(gateway: Gateway) -> None:
    gateway.drain()
    assert Asker(gateway)("GET", "/livez").status_code == 200
    told = Asker(gateway)("GET", "/readyz")
    assert (told.status_code, told.json()["type"]) == (503, "/v1/problems/draining")


def test_probes_by_address(gateway: Gateway) -> None:
    assert Asker(gateway, base="http://10.0.0.7:8000")("GET", "/readyz").status_code == 200
