"""What the tests of webhook resources share: callers of several tenants, and names that resolve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from starlette.requests import HTTPConnection

from headrace.app import App
from headrace.gateway import Caller, Gateway, Settings
from headrace.gateway.problem import Problem
from headrace.webhooks import lookup
from tests.unit.gateway.conftest import Client

URL = "https://hooks.example.com/in"
ENDPOINTS = "/v1/webhooks/endpoints"
DELIVERIES = "/v1/webhooks/deliveries"

_SCOPES = frozenset({"webhooks", "jobs:submit", "jobs:read"})
CALLERS = {
    "operator": Caller(name="operator", scopes=frozenset({"admin"})),
    "acme": Caller(name="acme", tenant="acme", scopes=_SCOPES),
    "acme-mail": Caller(name="acme-mail", tenant="acme", scopes=_SCOPES, queues=("mail",)),
    "other": Caller(name="other", tenant="other", scopes=_SCOPES),
    "reader": Caller(name="reader", scopes=frozenset({"jobs:read"})),
}

Ask = Callable[..., httpx2.Response]


async def admit(request: HTTPConnection) -> Caller:
    """Believe whatever somebody says of themselves."""
    try:
        return CALLERS[request.headers["x-caller"]]
    except KeyError:
        raise Problem("unauthenticated") from None


def asker(app: App) -> Ask:
    """Return what asks a gateway as somebody: `ask("acme", "GET", path)`."""
    client = Client(Gateway(app, Settings(), admit=admit))

    def ask(who: str, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"X-Caller": who, **more.pop("headers", {})}
        return client(method, path, headers=headers, **more)

    return ask


def resolve(monkeypatch: pytest.MonkeyPatch, **names: str) -> None:
    """Let names have addresses, by what stands before their first dot; the others have none."""

    def found(host: str, _port: int) -> list[str]:
        name = host.partition(".")[0]
        if name not in names:
            raise OSError
        return [names[name]]

    monkeypatch.setattr(lookup, "_ask", found)
