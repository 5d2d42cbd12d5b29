"""Requests go where they may, and no receiver can keep a sender."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace.clock import SystemClock
from headrace.errors import BlockedDestination, NotDelivered
from headrace.testing import ManualClock
from headrace.webhooks import destination
from headrace.webhooks import sender as module
from headrace.webhooks.address import networks
from headrace.webhooks.lookup import Lookup, Resolve
from headrace.webhooks.sender import Answer, Sender
from tests.unit.webhooks.receiver import Receiver, says
from tests.unit.webhooks.test_lookup import names

LOCAL = ("127.0.0.0/8", "::1/128")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


def post(
    url: str,
    *,
    allowed: tuple[str, ...] = LOCAL,
    resolve: Resolve | None = None,
    seconds: float = 20.0,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    sender = Sender(Lookup(networks(allowed), resolve), SystemClock(), seconds, trust)
    return asyncio.run(sender.post(url, {"webhook-id": "m"}, b"hello"))


def test_what_is_sent_arrives(receiver: Receiver) -> None:
    assert post(receiver.url + "?a=%2Fb&c=%20") == Answer(200, None)
    (came,) = receiver.received
    assert (came.method, came.target, came.body) == ("POST", "/hook?a=%2Fb&c=%20", b"hello")
    assert came.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert came.headers["webhook-id"] == "m"
    assert came.headers["accept-encoding"] == "identity"
    assert "cookie" not in came.headers


def test_a_name_is_dialled_where_it_was_found(receiver: Receiver) -> None:
    url = f"http://hooks.example.com:{receiver.port}/"
    assert post(url, resolve=names("127.0.0.1")).status == 200
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"


# Blocked ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"])
def test_this_host_is_not_dialled(receiver: Receiver, host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(BlockedDestination):
            post(f"{scheme}://{host}:{receiver.port}/", allowed=())
    assert receiver.received == []
    assert receiver.most_open == 0


def test_a_name_that_turns_inside_is_not_dialled(receiver: Receiver) -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]])

    async def resolve(_host: str, _port: int) -> list[str]:
        return next(answers)

    lookup = Lookup((), resolve)

    async def attempts() -> None:
        sender = Sender(lookup, SystemClock())
        there = destination.read("https://hooks.example.com/")
        assert await lookup.find(there), "it was public when it was registered"
        for _ in range(3):
            with pytest.raises(BlockedDestination):
                await sender.post(there.url, {}, b"")

    asyncio.run(attempts())
    assert receiver.most_open == 0


def test_the_address_that_was_judged_is_the_one_that_is_dialled(receiver: Receiver) -> None:
    asked: list[str] = []

    async def resolve(_host: str, _port: int) -> list[str]:
        # Asked again, it would say something else.
        asked.append(_host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.9"]

    assert post(f"http://hooks.example.com:{receiver.port}/", resolve=resolve).status == 200
    assert asked == ["hooks.example.com"]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"])
def test_what_goes_past_the_resolver_is_stopped_at_the_socket(
    receiver: Receiver, host: str
) -> None:
    """The last gate alone: whatever the connector dials must be what was judged."""

    async def dial(pinned: str) -> int:
        connector = aiohttp.TCPConnector(socket_factory=module._only([ip_address(pinned)]))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://{host}:{receiver.port}/") as response,
        ):
            return response.status

    with pytest.raises(BlockedDestination):
        asyncio.run(dial("8.8.8.8"))
    assert receiver.most_open == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/", "gopher://x/", "/other"])
def test_no_redirect_is_followed(receiver: Receiver, status: int, target: str) -> None:
    receiver.reply = says(status, f"Location: {target}")
    assert post(receiver.url).status == status
    assert len(receiver.received) == 1


def test_no_proxy_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, receiver.url)
    with Receiver() as other:
        assert post(other.url).status == 200
    assert receiver.most_open == 0


# Misbehaviour (bad input 122) ---------------------------------------------------------------------


def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
            receiver.sent += 1_000_000

    receiver.reply = flood
    assert post(receiver.url).status == 200
    # What was not read waits in the buffers of two sockets.
    assert receiver.sent < 50_000_000


def test_what_is_packed_stays_packed(receiver: Receiver) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    receiver.reply = says(200, "Content-Encoding: gzip", body=bomb)
    assert post(receiver.url).status == 200


def test_what_drips_after_the_status_is_not_awaited(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BODY_SECONDS", 0.01)

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 OK\r\nContent-Length: 10\r\n\r\n")
        await asyncio.Event().wait()

    receiver.reply = drip
    assert post(receiver.url).status == 204


def test_what_drips_before_the_status_fails_in_time(receiver: Receiver) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 2")
        await asyncio.Event().wait()

    receiver.reply = drip
    with pytest.raises(NotDelivered, match="no answer within"):
        post(receiver.url, seconds=0.2)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nBad\x00: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000 + b"\r\n",
    ],
)
def test_what_is_no_http_is_no_answer(receiver: Receiver, text: bytes) -> None:
    async def babble(writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    receiver.reply = babble
    with pytest.raises(NotDelivered):
        post(receiver.url)


def test_nobody_there(receiver: Receiver) -> None:
    receiver.__exit__(None, None, None)
    try:
        with pytest.raises(NotDelivered, match="no connection"):
            post(receiver.url)
    finally:
        receiver.__enter__()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("999999999", 5 * 86_400.0),
        ("Sat, 21 Nov 2026 04:11:37 GMT", 0.0),  # long ago
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_when_to_come_again(receiver: Receiver, text: str, seconds: float | None) -> None:
    receiver.reply = says(429, f"Retry-After: {text}")
    assert post(receiver.url) == Answer(429, seconds)


def test_a_date_to_come_again(receiver: Receiver) -> None:
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
    receiver.reply = says(503, "Retry-After: Tue, 01 Jan 2030 00:01:00 GMT")
    sender = Sender(Lookup(networks(LOCAL)), clock)
    assert asyncio.run(sender.post(receiver.url, {}, b"")) == Answer(503, 60.0)


# TLS ----------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str, *, days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate that vouches for itself, and the context of a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, private = folder / "cert.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, private)
    return context, file


def test_the_certificate_must_be_of_the_name(tmp_path: Path) -> None:
    tls, file = certificate(tmp_path, "hooks.example.com")
    trust = ssl.create_default_context(cafile=str(file))
    with Receiver(tls=tls) as receiver:
        for name, believed in (
            ("hooks.example.com", trust),
            ("other.example.com", trust),
            ("hooks.example.com", None),
        ):
            url = f"https://{name}:{receiver.port}/"
            if (name, believed) == ("hooks.example.com", trust):
                assert post(url, resolve=names("127.0.0.1"), trust=trust).status == 200
                continue
            with pytest.raises(NotDelivered, match="certificate"):
                post(url, resolve=names("127.0.0.1"), trust=believed)
        assert len(receiver.received) == 1


def test_a_certificate_that_has_expired_is_none(tmp_path: Path) -> None:
    tls, file = certificate(tmp_path, "hooks.example.com", days=-1)
    trust = ssl.create_default_context(cafile=str(file))
    with Receiver(tls=tls) as receiver:
        url = f"https://hooks.example.com:{receiver.port}/"
        with pytest.raises(NotDelivered, match="certificate"):
            post(url, resolve=names("127.0.0.1"), trust=trust)
