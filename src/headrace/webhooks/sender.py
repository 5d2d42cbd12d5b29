"""Sender: one HTTP request to somebody else's server, who may mean harm.

It looks names up itself, judges every address, and dials those very addresses. It follows no
redirect, asks no proxy, unpacks nothing, and reads little.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from headrace.clock import Clock
from headrace.errors import BlockedDestination, NotDelivered
from headrace.webhooks import address, destination
from headrace.webhooks.address import Address
from headrace.webhooks.lookup import Lookup

SECONDS = 10.0
_BODY_LIMIT = 64 * 1024
_BODY_SECONDS = 1.0
_WAIT_LIMIT = 5 * 86_400.0
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

_FIELDS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Headrace"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said.

    Attributes:
        status: the status of its answer (RFC 9110 §15).
        retry_after: seconds for which it wants to be left alone, if it says so.
    """

    status: int
    retry_after: float | None


class Sender:
    """Sends requests.

    Args:
        lookup: finds addresses, and refuses those that must not be dialled.
        clock: tells what date it is.
        seconds: how long a request may take altogether.
        trust: whose certificates are believed; by default the system's.
    """

    def __init__(
        self,
        lookup: Lookup,
        clock: Clock,
        seconds: float = SECONDS,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._seconds = seconds
        self._trust = trust or ssl.create_default_context()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a POST request, and return what the answer says.

        Raises:
            BlockedDestination: nothing may be sent there.
            NotDelivered: there was no answer.
        """
        there = destination.read(url)
        try:
            async with asyncio.timeout(self._seconds):
                pinned = await self._lookup.find(there)
                return await self._exchange(URL(there.url, encoded=True), pinned, headers, body)
        except TimeoutError:
            raise NotDelivered(f"no answer within {self._seconds:g} s") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise NotDelivered("no secure connection: check its certificate") from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise NotDelivered("no connection, or it broke") from error
        except aiohttp.ClientError as error:
            raise NotDelivered("no valid HTTP answer") from error

    async def _exchange(
        self, url: URL, pinned: Sequence[Address], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(pinned),
            socket_factory=_only(pinned),
            ssl=self._trust,
            use_dns_cache=False,
            force_close=True,  # what is sent later is dialled, and judged, anew
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )
        async with (
            session,
            session.post(
                url, data=body, headers={**_FIELDS, **headers}, allow_redirects=False
            ) as response,
        ):
            await _read_a_little(response)
            return Answer(response.status, self._retry_after(response.headers))

    def _retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Read `Retry-After` (RFC 9110 §10.2.3): seconds, or a date."""
        text = headers.get("Retry-After", "").strip()
        if _SECONDS.fullmatch(text):
            return min(float(text), _WAIT_LIMIT)
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return min(max(0.0, date.timestamp() - self._clock.now()), _WAIT_LIMIT)


class _Pinned(AbstractResolver):
    """Answers with the addresses that were judged: nobody is asked a second time."""

    def __init__(self, pinned: Sequence[Address]) -> None:
        self._pinned = pinned

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses."""
        del family  # both are tried
        return [
            ResolveResult(
                hostname=host,
                host=str(each),
                port=port,
                family=socket.AF_INET if each.version == 4 else socket.AF_INET6,  # noqa: PLR2004 - a version
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in self._pinned
        ]

    async def close(self) -> None:
        """Do nothing: nothing is held."""


def _only(pinned: Sequence[Address]) -> Callable[..., socket.socket]:
    """Return what makes sockets, for these addresses alone.

    It is called where the connector is about to dial, with the very address that it dials, whoever
    it has that from: an address in a URL, for example, goes past every resolver.
    """

    def make(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        family, kind, protocol, _, place = info
        if address.read(str(place[0])) not in pinned:
            raise BlockedDestination("the address is not the one that was judged")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)  # noqa: FBT003 - the standard library has it so
        return made

    return make


async def _read_a_little(response: aiohttp.ClientResponse) -> None:
    """Let the receiver finish a short answer; its status has been said, so the rest matters not."""
    left = _BODY_LIMIT
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
        async with asyncio.timeout(_BODY_SECONDS):
            while left > 0 and (part := await response.content.read(left)):
                left -= len(part)
    response.close()
