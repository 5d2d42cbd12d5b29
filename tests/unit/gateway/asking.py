"""Asks a gateway over ASGI, in this process, one request at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx2


@dataclass(frozen=True)
class Asker:
    """Somebody who asks a gateway, with a key if it has one."""

    gateway: Any
    token: str | None = None
    base: str = "http://localhost"
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, **given: Any) -> httpx2.Response:
        """Make a request and return the answer."""
        shown = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        given["headers"] = [
            *shown.items(),
            *self.headers.items(),
            *given.get("headers", {}).items(),
        ]

        async def ask() -> httpx2.Response:
            transport = httpx2.ASGITransport(self.gateway, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url=self.base) as client:
                return await client.request(method, path, **given)

        return asyncio.run(ask())


def scope_of(
    headers: list[tuple[str, str]],
    *,
    method: str = "GET",
    kind: str = "http",
    server: tuple[str, int] | None = ("127.0.0.1", 8000),
) -> dict[str, Any]:
    """Return what an ASGI server says of a request."""
    return {
        "type": kind,
        "method": method,
        "path": "/v1/meta",
        "raw_path": b"/v1/meta",
        "query_string": b"",
        "server": server,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
