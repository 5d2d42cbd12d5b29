"""A gateway behind a real socket: uvicorn in a thread, set up as `headrace serve` does."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn

from headrace.gateway import Gateway
from tests.unit.waiting import until

T = TypeVar("T")

DRAIN_SECONDS = 5.0


class Server(uvicorn.Server):
    """Lets whoever waits go before connections are closed."""

    def __init__(self, gateway: Gateway, **more: Any) -> None:
        config = uvicorn.Config(
            gateway,
            port=0,
            log_level="error",
            ws="websockets-sansio",
            ws_max_size=gateway.settings.max_message,
            ws_per_message_deflate=False,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            timeout_graceful_shutdown=5,
            **more,
        )
        super().__init__(config)
        self.gateway = gateway
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let whoever waits go, then close."""
        self.gateway.drain()
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_SECONDS
        while self.gateway.waiting and loop.time() < end:  # noqa: ASYNC110 - it comes soon
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """The address of its WebSockets."""
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on its loop, and return what it returns."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


@contextmanager
def served(gateway: Gateway, **more: Any) -> Iterator[Server]:
    """Serve a gateway in a `with` block."""
    server = Server(gateway, **more)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the server")
        yield server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
