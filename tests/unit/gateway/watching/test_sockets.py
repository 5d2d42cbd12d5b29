"""A WebSocket is opened by whom it is for, and keeps to RFC 6455 whatever comes."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from headrace.app import App
from headrace.gateway import Caller, Gateway, Settings
from headrace.gateway.door import keys
from headrace.gateway.problem import Problem
from headrace.gateway.watching import sockets
from headrace.gateway.watching.order import PROTOCOL
from tests.unit.gateway.steps import submit
from tests.unit.gateway.wired import Server, served
from tests.unit.waiting import until

ALICE = Caller(name="alice", tenant="acme", scopes=frozenset({"jobs:read"}))
KEYS = {
    "Bearer good": ALICE,
    "Bearer submitter": Caller(name="s", scopes=frozenset({"jobs:submit"})),
}


async def admit(request: Any) -> Caller:
    """Admit whoever has a key; a cookie is a key, too."""
    key = request.headers.get("authorization") or request.cookies.get("key", "")
    if key not in KEYS:
        raise Problem("unauthenticated", headers={"WWW-Authenticate": "Bearer"})
    return KEYS[key]


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    """Serve a gateway that wants keys."""
    with served(Gateway(app, Settings(), admit=admit)) as server:
        yield server


def ended(connection: ClientConnection) -> tuple[int, str]:
    """Return the code and reason with which the server ends a connection."""
    try:
        while True:
            connection.recv(timeout=20)
    except ConnectionClosed as closed:
        close = closed.rcvd
    assert close is not None
    return close.code, close.reason


def ticket(server: Server) -> str:
    """Return a new ticket of Alice's."""
    answer = httpx2.post(f"{server.url}/v1/tickets", headers={"Authorization": "Bearer good"})
    assert answer.status_code == 201
    return str(answer.json()["ticket"])


def works(connection: ClientConnection) -> bool:
    """Return whether somebody answers."""
    connection.send('{"op": "ping"}')
    return bool(json.loads(connection.recv(timeout=20)) == {"type": "pong"})


def test_a_key_opens_it(server: Server) -> None:
    headers = {"Authorization": "Bearer good"}
    with connect(
        server.ws, additional_headers=headers, subprotocols=[Subprotocol(PROTOCOL)]
    ) as connection:
        assert connection.subprotocol == PROTOCOL
        assert works(connection)


def test_a_ticket_opens_it_once(server: Server) -> None:
    address = f"{server.ws}?ticket={ticket(server)}"
    with connect(address) as connection:
        assert works(connection)
    with pytest.raises(InvalidStatus) as caught:
        connect(address)
    assert caught.value.response.status_code == 401


@pytest.mark.parametrize("what", ["ticket", "token"])
def test_the_first_message_opens_it(server: Server, what: str) -> None:
    value = ticket(server) if what == "ticket" else "good"
    with connect(server.ws) as connection:
        connection.send(json.dumps({"op": "auth", what: value}))
        assert works(connection)


@pytest.mark.parametrize(
    "said",
    [
        '{"op": "auth", "token": "bad"}',
        '{"op": "auth", "ticket": "bad"}',
        '{"op": "auth"}',
        '{"op": "ping"}',
        "{",
        b"binary",
        '{"op": "auth", "token": "' + "x" * 9000 + '"}',
    ],
)
def test_who_says_something_else_is_sent_away(server: Server, said: str | bytes) -> None:
    with connect(server.ws) as connection:
        connection.send(said)
        assert ended(connection)[0] == 4401


def test_who_says_nothing_is_sent_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sockets.INTRODUCTION_SECONDS == 5
    monkeypatch.setattr(sockets, "INTRODUCTION_SECONDS", 0.05)
    with connect(server.ws) as connection:
        assert ended(connection) == (4401, "say who you are in 0.05 s")


def test_who_may_not_read_is_sent_away(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(server.ws, additional_headers={"Authorization": "Bearer submitter"})
    assert caught.value.response.status_code == 403
    with connect(server.ws) as connection:
        connection.send('{"op": "auth", "token": "submitter"}')
        assert ended(connection)[0] == 4403


def test_a_bad_key_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(server.ws, additional_headers={"Authorization": "Bearer bad"})
    response = caught.value.response
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert json.loads(response.body or b"")["title"] == "A valid API key is needed"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, False),
        ("null", False),
        ("https://evil.example", False),
        ("http://localhost", False),
        ("https://app.example", True),
        ("same", True),
    ],
)
def test_a_cookie_is_good_only_for_our_pages(app: App, origin: str | None, allowed: bool) -> None:  # noqa: FBT001 - a parameter of a table
    settings = Settings(origins=("https://app.example",))
    with served(Gateway(app, settings, admit=admit)) as server:
        text = server.url if origin == "same" else origin
        said = None if text is None else Origin(text)
        headers = {"Cookie": 'key="Bearer good"'}
        if allowed:
            with connect(server.ws, additional_headers=headers, origin=said) as connection:
                assert works(connection)
            return
        with pytest.raises(InvalidStatus) as caught:
            connect(server.ws, additional_headers=headers, origin=said)
        assert caught.value.response.status_code == 403


def test_a_page_of_elsewhere_reaches_no_gateway_without_keys(app: App) -> None:
    with served(Gateway(app, Settings(anonymous=True))) as server:
        with pytest.raises(InvalidStatus) as caught:
            connect(server.ws, origin=Origin("https://evil.example"))
        assert caught.value.response.status_code == 403
        with connect(server.ws) as connection:
            assert works(connection)


def test_too_many_are_sent_away(app: App) -> None:
    settings = Settings(anonymous=True, max_waiters=1)
    with served(Gateway(app, settings)) as server, connect(server.ws) as first:
        assert works(first)
        with connect(server.ws) as second:
            assert ended(second)[0] == 1013
        assert works(first)


def test_a_stop_sends_everybody_away(app: App) -> None:
    with served(Gateway(app, Settings(anonymous=True))) as server, connect(server.ws) as connection:
        job = server.call(submit(app))
        connection.send(json.dumps({"op": "subscribe", "jobs": [job]}))
        told = [json.loads(connection.recv(timeout=20)) for _ in range(2)]
        server.should_exit = True
        assert ended(connection) == (1012, told[-1]["cursor"])


def test_a_key_that_is_revoked_closes_what_it_opened(app: App) -> None:
    with served(Gateway(app, Settings())) as server:
        now = app.clock.now()
        key, token = keys.create(app.ids, now, scopes=("jobs:read",))
        server.call(stored(app, key))
        bearer = {"Authorization": f"Bearer {token}"}
        unused = httpx2.post(f"{server.url}/v1/tickets", headers=bearer).json()["ticket"]
        with connect(server.ws, additional_headers=bearer) as connection:
            assert works(connection)
            server.call(stored(app, keys.revoke(key, now)))
            assert ended(connection)[0] == sockets.UNKNOWN
        with pytest.raises(InvalidStatus):
            connect(f"{server.ws}?ticket={unused}")


async def stored(app: App, key: keys.Key) -> None:
    """Store a key as it is now."""
    await (await app.aintake()).engine.apply(key.put())


def test_strangers_who_say_nothing_keep_nobody_out(app: App) -> None:
    settings = Settings(max_requests=1)
    with served(Gateway(app, settings, admit=admit)) as server, connect(server.ws):
        headers = {"Authorization": "Bearer good"}
        assert httpx2.get(f"{server.url}/v1/jobs", headers=headers).status_code == 200


# What no client library would send ----------------------------------------------------------------


class Raw:
    """A WebSocket whose frames are made by hand."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.socket.sendall(
            b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Authorization: Bearer good\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        self.reason = ""
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.socket.recv(1)

    def send(self, opcode: int, data: bytes, *, fin: bool = True, more: int = 0) -> None:
        """Send one frame; `more` are further bits of its first byte."""
        self.socket.sendall(frame(opcode, data, fin=fin, more=more))

    def code(self) -> int | None:
        """Return the code with which the server closes; None if it just cuts the connection."""
        received = b""
        try:
            while part := self.socket.recv(1 << 20):
                received += part
                while (size := _size(received)) is not None and len(received) >= size:
                    if received[0] & 15 == 8:
                        self.reason = received[4:size].decode()
                        return int.from_bytes(received[2:4], "big")
                    received = received[size:]
        except ConnectionResetError:
            pass
        return None


def _size(received: bytes) -> int | None:
    """Return the size of a frame of the server's with its head; None: it is not known yet."""
    if len(received) < 10:
        short = len(received) >= 2 and received[1] < 126
        return 2 + received[1] if short else None
    if received[1] < 126:
        return 2 + received[1]
    if received[1] == 126:
        return 4 + int.from_bytes(received[2:4], "big")
    return 10 + int.from_bytes(received[2:10], "big")


def frame(opcode: int, data: bytes, *, fin: bool = True, more: int = 0, mask: bool = True) -> bytes:
    """Return a frame of a client (RFC 6455 §5.2); its mask is zero."""
    head = bytes([(fin << 7) | more | opcode])
    bit = 128 if mask else 0
    if len(data) < 126:
        head += bytes([bit | len(data)])
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(data))
    return head + (bytes(4) if mask else b"") + data


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    """Give a connection whose frames are made by hand."""
    raw = Raw(server)
    yield raw
    raw.socket.close()
    until(lambda: server.gateway.waiting == 0, "the socket to be let go of")


def test_nothing_is_compressed(raw: Raw) -> None:
    assert b"101" in raw.head.split(b"\r\n")[0]
    assert b"permessage-deflate" not in raw.head


def test_a_compressed_frame_is_a_mistake(raw: Raw) -> None:
    raw.send(1, os.urandom(1000), more=0x40)
    assert raw.code() == 1002


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1 << 20])
def test_a_message_that_is_too_large(raw: Raw, size: int) -> None:
    raw.socket.sendall(frame(1, b" " * size)[: 64 * 1024 + 14])
    assert raw.code() == 1009


def test_a_message_in_very_many_fragments(raw: Raw) -> None:
    fragments = frame(1, b" ", fin=False) + frame(0, b" ", fin=False) * 100_000
    try:
        raw.socket.sendall(fragments)
    except (BrokenPipeError, ConnectionResetError):
        return  # it was cut meanwhile
    assert raw.code() in (1009, None)


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"\xff\xfe"),
        frame(1, b"\xed\xa0\x80"),
        frame(1, b'{"op": "ping"}\xc3'),
    ],
)
def test_text_that_is_no_utf8(raw: Raw, data: bytes) -> None:
    raw.socket.sendall(data)
    assert raw.code() == 1007


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"{}", mask=False),
        frame(1, b"{}", more=0x20),
        frame(3, b"{}"),
        frame(11, b""),
        frame(9, b"x" * 126),
        frame(9, b"x", fin=False),
        frame(0, b"x"),
        frame(1, b"x", fin=False) + frame(1, b"x"),
        frame(8, b"x"),
        frame(8, b"\x03\xed"),
    ],
    ids=range(10),
)
def test_frames_that_are_none(raw: Raw, data: bytes) -> None:
    raw.socket.sendall(data)
    assert raw.code() == 1002


def test_binary_messages_are_not_read(raw: Raw) -> None:
    raw.send(2, b"x")
    assert raw.code() == 1003
