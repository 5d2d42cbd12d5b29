"""A gateway on the memory engine, a client of it, and a few tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import httpx2
import msgspec
import pytest

from headrace import Context
from headrace.app import App
from headrace.gateway import Gateway, Settings

ADDRESS = "http://localhost"

T = TypeVar("T")


class Box(msgspec.Struct, forbid_unknown_fields=True):
    """Something with places inside."""

    width: int
    labels: dict[str, str] = {}
    sides: list[int] = []


@pytest.fixture
def app() -> Iterator[App]:
    """Give an App on the memory engine, with tasks of several shapes."""
    app = App("memory:")

    @app.task
    def add(left: int, right: int = 0) -> int:
        return left + right

    @app.task(name="boxes.pack", queue="boxes")
    def pack(box: Box, note: str = "") -> str:
        return f"{box.width} {note}"

    @app.task
    def echo(value: Any = None) -> Any:
        return value

    @app.task
    async def report(ctx: Context, month: str) -> str:
        ctx.progress(1, total=2, note=month)
        return month

    @app.task
    def divide(by: int) -> float:
        return 1 / by

    yield app
    app.close()


@pytest.fixture
def settings() -> Settings:
    """Give the settings of the gateway; a module may have a fixture of its own."""
    return Settings(anonymous=True)


@pytest.fixture
def gateway(app: App, settings: Settings) -> Gateway:
    """Give a gateway, whose engine is opened by the first request."""
    return Gateway(app, settings)


class Client:
    """Asks a gateway, in the same process, from tests that do not await.

    Args:
        gateway: answers.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def __call__(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Make one request; what is not said is as `httpx2` has it."""

        async def ask(client: httpx2.AsyncClient) -> httpx2.Response:
            return await client.request(method, path, **more)

        return self.run(ask)

    def run(self, talk: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, T]]) -> T:
        """Let a coroutine have a client, for requests that go on at the same time."""

        async def main() -> T:
            transport = httpx2.ASGITransport(self._gateway)
            async with httpx2.AsyncClient(transport=transport, base_url=ADDRESS) as client:
                return await talk(client)

        return asyncio.run(main())


@pytest.fixture
def client(gateway: Gateway) -> Client:
    """Give a client of the gateway: `client("POST", "/v1/tasks/add", json={"left": 1})`."""
    return Client(gateway)
