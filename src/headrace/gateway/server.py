"""Server: a gateway under uvicorn, with all limits set, that ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn

from headrace.errors import ConfigError, EngineClosed, HeadraceError
from headrace.gateway.connection import connections
from headrace.gateway.gateway import Gateway
from headrace.reply import Reply
from headrace.signals import heeded

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75  # longer than the 60 s after which common proxies let a connection go
_WAITING_MESSAGES = 32
_PARTING_SECONDS = 3.0
_LOOK_SECONDS = 0.02
_STUCK_SECONDS = 2.0
_TICKS_BETWEEN_LOOKS = 20  # of uvicorn's ticks, ten a second


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or address of this machine.
        port: 0 takes one that is free.

    Raises:
        ConfigError: it is no address of this machine, or somebody listens there already.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # Those of getaddrinfo have numbers of their own; to the others Python adds the address.
        known = error.errno is not None and not isinstance(error, socket.gaierror)
        reason = os.strerror(error.errno or 0) if known else error.strerror
        raise ConfigError(
            f"cannot listen at {host}:{port}: {reason}; choose another place with --host and --port"
        ) from None


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only programs of this machine reach a socket."""
    return ip_address(listener.getsockname()[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """Return where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Serves a gateway until it is told to stop.

    SIGTERM or Ctrl-C begins an orderly stop: the gateway is not ready any more and accepts nothing,
    streams are told to go elsewhere, requests are finished within the App's grace. A second signal
    skips the waiting.

    Args:
        gateway: what is served; its App is open.
        ending: is called, in a thread, when nothing more is accepted and before the App is closed.
        hurrying: is called at the second signal.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        ending: Callable[[], object] = lambda: None,
        hurrying: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(_config(gateway))
        self._gateway = gateway
        self._ending = ending
        self._hurrying = hurrying
        self._closed: EngineClosed | None = None

    def serve_at(self, listener: socket.socket) -> None:
        """Serve at a socket, which is closed in the end. Signals reach only the main thread.

        Raises:
            EngineClosed: the engine stopped after a failure, and the gateway therefore as well:
                whoever keeps it running starts it anew.
            HeadraceError: it did not come to serve; the log says why.
        """
        try:
            self.run([listener])
        except SystemExit:  # uvicorn's way to say so
            raise HeadraceError("the gateway could not start; the lines above say why") from None
        finally:
            listener.close()
        if self._closed is not None:
            raise self._closed

    async def on_tick(self, counter: int) -> bool:
        """Look now and then whether the engine still serves; return whether to stop (uvicorn)."""
        if counter % _TICKS_BETWEEN_LOOKS == 0 and not self.should_exit:
            engine = (await self._gateway.app.aintake()).engine
            engine.load([]).listen(self._looked)
        return await super().on_tick(counter)

    def _looked(self, look: Reply[Any]) -> None:
        if isinstance(look.error, EngineClosed) and self._closed is None and not self.should_exit:
            self._closed = look.error
            self.stop()

    def stop(self) -> None:
        """Begin an orderly stop; called again, hurry it. It may be called from any thread."""
        if self.should_exit:
            self.force_exit = True
            self._hurrying()
        else:
            self._gateway.drain()
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        """Stop at a signal."""
        self.stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Heed signals while it serves; having ended in order is no failure, so none is raised."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with heeded(self.handle_exit, (signal.SIGINT, signal.SIGTERM)):
            yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what works beside the gateway end, then the requests, then the App."""
        await asyncio.to_thread(self._ending)
        await self._part()
        cutting = asyncio.create_task(self._cut())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()
        if self.force_exit:  # uvicorn leaves it then, but the App is to be closed all the same
            await self.lifespan.shutdown()

    async def _part(self) -> None:
        """Let those that wait hear where to go on, before their connections are closed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _PARTING_SECONDS
        while not self.force_exit and self._gateway.waiting:
            await asyncio.sleep(_LOOK_SECONDS)
            if loop.time() >= end:
                break

    async def _cut(self) -> None:
        """Cut connections whose clients take nothing: closing them would wait for that."""
        before: dict[Any, int] = {}
        while True:
            await asyncio.sleep(_STUCK_SECONDS)
            open_ones: Any = self.server_state.connections
            ways = [each.transport for each in open_ones if each.transport is not None]
            now = {way: way.get_write_buffer_size() for way in ways}
            for way, size in now.items():
                if size and before.get(way) == size:
                    way.abort()
            before = now


def _config(gateway: Gateway) -> uvicorn.Config:
    settings = gateway.settings
    return uvicorn.Config(
        gateway,
        http=connections(settings),
        ws="websockets-sansio",
        ws_max_size=settings.max_message,
        ws_max_queue=_WAITING_MESSAGES,
        ws_per_message_deflate=False,  # a small message must not become a large one
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=settings.proxied,
        forwarded_allow_ips="*",  # whoever says --proxied lets nobody but the proxy come here
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(gateway.app.config.grace),
    )
