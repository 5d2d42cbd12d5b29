"""A server listens where it is told to, and ends in order."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from starlette.requests import HTTPConnection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from headrace import App
from headrace.errors import ConfigError, EngineClosed, HeadraceError
from headrace.gateway import Caller, Gateway, Settings
from headrace.gateway import server as module
from headrace.gateway.caller import ANONYMOUS
from headrace.gateway.server import Server, is_loopback, listen, url_of
from tests.unit.gateway.serving import served, wait_until


class Latch:
    """Holds requests back until they are let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    async def admit(self, _: HTTPConnection) -> Caller:
        """Admit everybody, later."""
        self.reached.set()
        while not self.opened.is_set():  # noqa: ASYNC110 - it is opened from another thread
            await asyncio.sleep(0.01)
        return ANONYMOUS


def test_requests_are_finished_and_nothing_more_is_accepted(app: App) -> None:
    latch, order = Latch(), []

    def ending() -> None:
        with ThreadPoolExecutor(1) as pool:
            order.append(pool.submit(httpx2.get, f"{url}/readyz").result().status_code)
        latch.opened.set()

    gateway = Gateway(app, admit=latch.admit)
    with served(gateway, ending=ending) as (server, url), ThreadPoolExecutor(1) as pool:
        told = pool.submit(httpx2.get, f"{url}/v1/meta")
        assert latch.reached.wait(30)
        server.stop()
        assert told.result(30).status_code == 200
    assert order == [503]


def test_it_ends_when_the_engine_has_stopped(app: App) -> None:
    listener = listen("127.0.0.1", 0)
    server = Server(Gateway(app, Settings(anonymous=True)))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(server.serve_at, listener)
        wait_until(lambda: server.started)
        app.engine.close().wait(5)
        with pytest.raises(EngineClosed):
            ended.result(30)


def test_the_second_signal_hurries(app: App) -> None:
    latch, hurried = Latch(), []
    gateway = Gateway(app, admit=latch.admit)
    with (
        served(gateway, hurrying=lambda: hurried.append(True)) as (server, url),
        ThreadPoolExecutor(1) as pool,
    ):
        told = pool.submit(httpx2.get, f"{url}/v1/meta")
        assert latch.reached.wait(30)
        server.stop()
        server.stop()
        with pytest.raises(httpx2.HTTPError):  # it was not waited for
            told.result(30).raise_for_status()
    assert hurried
    assert not latch.opened.is_set()


def test_who_waits_is_told_where_to_go_on_and_who_never_reads_is_cut_off(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STUCK_SECONDS", 0.2)
    gateway = Gateway(app, Settings(anonymous=True))
    with served(gateway) as (server, url):
        port = int(url.rpartition(":")[2])
        with (
            connect(f"ws://127.0.0.1:{port}/v1/ws") as heard,
            socket.create_connection(("127.0.0.1", port)) as deaf,
        ):
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
            heard.send('{"op": "ping"}')
            heard.recv(timeout=20)
            server.stop()
            with pytest.raises(ConnectionClosed) as closed:
                heard.recv(timeout=20)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, bool(closed.value.rcvd.reason)) == (1012, True)
            wait_until(lambda: not server.server_state.connections)  # deaf is still open here


def test_a_gateway_may_be_served_again(app: App) -> None:
    gateway = Gateway(app, Settings(anonymous=True))
    for _ in range(2):
        with served(gateway) as (_, url):
            assert httpx2.get(f"{url}/readyz").status_code == 200


def test_answers_do_not_tell_what_serves(app: App) -> None:
    with served(Gateway(app)) as (_, url):
        told = httpx2.get(f"{url}/livez")
    assert "server" not in told.headers
    assert "date" in told.headers


def test_a_gateway_that_cannot_start_says_so(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: App) -> App:
        raise OSError(self.config.url)

    monkeypatch.setattr(App, "__aenter__", refuse)
    listener = listen("127.0.0.1", 0)
    with pytest.raises(HeadraceError, match="could not start"):
        Server(Gateway(app)).serve_at(listener)
    assert listener.fileno() == -1


def test_a_place_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match=r"in use; choose"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_a_place_that_is_not_here(host: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen at"):
        listen(host, 0)


def test_who_reaches_it() -> None:
    with listen("127.0.0.1", 0) as here:
        assert is_loopback(here)
        assert url_of(here) == f"http://127.0.0.1:{here.getsockname()[1]}"
    with listen("0.0.0.0", 0) as everywhere:  # noqa: S104 - nobody is served there
        assert not is_loopback(everywhere)


@pytest.mark.skipif(not socket.has_ipv6, reason="optional: IPv6")
def test_ipv6() -> None:
    try:
        here = listen("::1", 0)
    except ConfigError:
        pytest.skip("optional: IPv6 on this machine")
    with here:
        assert is_loopback(here)
        assert url_of(here).startswith("http://[::1]:")


def test_a_proxy_is_believed_only_if_there_is_one(app: App) -> None:
    seen: list[str] = []

    async def admit(connection: HTTPConnection) -> Caller:
        seen.append(connection.url.scheme)
        return ANONYMOUS

    for proxied in (False, True):
        with served(Gateway(app, Settings(proxied=proxied), admit=admit)) as (_, url):
            httpx2.get(f"{url}/v1/meta", headers={"X-Forwarded-Proto": "https"})
    assert seen == ["http", "https"]
