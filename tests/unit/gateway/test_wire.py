"""What comes before a body has a size and a time, and what is no HTTP is a problem."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from headrace import App
from headrace.gateway import Gateway, Settings, wire
from tests.unit.gateway.serving import PATIENCE, served

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def place(app: App) -> Iterator[tuple[str, int]]:
    """Serve a gateway where heads have 8 KiB at most, and give its address."""
    settings = Settings(anonymous=True, max_headers=4096, max_url=4096)
    with served(Gateway(app, settings)) as (_, url):
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


def talk(place: tuple[str, int], *pieces: bytes) -> bytes:
    """Send pieces over a new connection, and return all that comes back until it is closed."""
    with socket.create_connection(place, PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass  # it has heard enough
        return heard(connection)


def heard(connection: socket.socket) -> bytes:
    """Return all that comes back until a connection is closed."""
    told = b""
    try:
        while piece := connection.recv(65_536):
            told += piece
    except ConnectionResetError:
        pass
    return told


def problem(told: bytes) -> tuple[int, Any]:
    """Return the status and the last part of the type of an answer that is a problem."""
    head, _, body = told.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert "content-type: application/problem+json" in lines
    assert "connection: close" in lines
    return int(lines[0].split()[1]), json.loads(body)["type"].rpartition("/")[2]


@pytest.mark.parametrize(
    "endless",
    [
        [GET, *[b"X-%d: %s\r\n" % (number, b"x" * 500) for number in range(40)]],
        [GET, b"X: ", *[b"x" * 5000] * 4],
        [b"GET /", *[b"x" * 5000] * 4],
    ],
    ids=["fields", "one field", "address"],
)
def test_a_head_without_end_is_cut_off(place: tuple[str, int], endless: list[bytes]) -> None:
    with socket.create_connection(place, PATIENCE) as connection:
        for piece in endless[:-1]:
            connection.sendall(piece)
        told = connection.recv(65_536)  # its end is not awaited
    assert problem(told) == (431, "headers-too-large")


def test_bodies_are_not_heads(place: tuple[str, int]) -> None:
    body = b'{"a":"' + b"x" * 100_000 + b'"}'
    post = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    told = talk(place, post, body, GET + b"Connection: close\r\n\r\n")
    assert told.count(b"HTTP/1.1 405") == 1
    assert told.count(b"HTTP/1.1 200") == 1


def test_each_head_is_counted_anew(place: tuple[str, int]) -> None:
    field = b"X: " + b"x" * 3000 + b"\r\n"
    told = talk(place, *[GET + field + b"\r\n"] * 9, GET + b"Connection: close\r\n\r\n")
    assert told.count(b"HTTP/1.1 200") == 10


@pytest.mark.parametrize(
    "nonsense",
    [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET /\r\n\r\n", GET + b"a b\r\n"],
)
def test_what_is_no_http_is_a_problem(place: tuple[str, int], nonsense: bytes) -> None:
    assert problem(talk(place, nonsense)) == (400, "malformed-request")


@pytest.mark.parametrize("piece", [b"", b"GET /li", GET])
def test_a_head_that_does_not_come(app: App, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.1)
    with served(Gateway(app)) as (_, url):
        parts = urlsplit(url)
        told = talk((str(parts.hostname), int(parts.port or 0)), piece)
    assert problem(told) == (408, "request-timeout")


def test_a_connection_between_requests_is_left_alone(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.1)
    with served(Gateway(app)) as (_, url):
        parts = urlsplit(url)
        place = (str(parts.hostname), int(parts.port or 0))
        with socket.create_connection(place, PATIENCE) as connection:
            connection.sendall(GET + b"\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            connection.settimeout(0.4)
            with pytest.raises(TimeoutError):
                connection.recv(1)
