"""Destination: a URL that a webhook is sent to, read strictly.

Programs disagree about odd URLs, and whoever checks one reading and dials another is fooled. So
there is one reading (RFC 3986, less than it allows), and what has several is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from headrace.errors import BlockedDestination
from headrace.webhooks.address import Address, Network, is_public, is_within

_LONGEST = 2048
_LONGEST_NAME = 253
_PORTS = frozenset({443, 8443})
_LARGEST_PORT = 65_535

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?"
    r"(?:\?(?:[a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?)",
    re.ASCII | re.IGNORECASE,  # without ASCII, a Kelvin sign would be a letter
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_LOCAL = (".local", ".localhost", ".internal", ".home.arpa")  # RFC 6761, RFC 6762, RFC 8375


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL, read.

    Attributes:
        secure: whether it is https.
        host: a name in lower case, or an address without brackets.
        port: where to connect.
        target: path and query, as they were given.
        address: the host, if it is an address.
    """

    secure: bool
    host: str
    port: int
    target: str
    address: Address | None

    @property
    def url(self) -> str:
        """The URL, written in one way."""
        scheme, usual = ("https", 443) if self.secure else ("http", 80)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}{'' if self.port == usual else f':{self.port}'}{self.target}"

    @property
    def is_local(self) -> bool:
        """Whether its name means something in a local network only."""
        return self.address is None and ("." not in self.host or self.host.endswith(_LOCAL))

    def check(self, addresses: Iterable[Address], allowed: Sequence[Network]) -> None:
        """Return if all addresses may be dialled.

        Args:
            addresses: those of its host.
            allowed: networks that are no secret to whoever gives URLs: there any port will do, and
                http.

        Raises:
            BlockedDestination: one of them must not be dialled.
        """
        for address in addresses:
            if is_within(address, allowed):
                continue
            if not is_public(address):
                raise BlockedDestination(f"{self.host} is not on the public internet")
            if not self.secure:
                raise BlockedDestination("use https: http hides neither body nor address")
            if self.port not in _PORTS:
                raise BlockedDestination(f"port {self.port} is not allowed: use 443 or 8443")

    def precheck(self, allowed: Sequence[Network]) -> None:
        """Return if it may be dialled, as far as that can be told without asking for a name.

        Raises:
            BlockedDestination: it must not be dialled.
        """
        if self.address is not None:
            self.check([self.address], allowed)
        elif not allowed:
            if self.is_local:
                raise BlockedDestination(f"{self.host} is not on the public internet")
            if not self.secure or self.port not in _PORTS:
                raise BlockedDestination("use https, on port 443 or 8443")


def read(url: str) -> Destination:
    """Read a URL.

    Raises:
        BlockedDestination: it is none, or not written in a way that everybody reads alike.
    """
    parts = _URL.fullmatch(url) if len(url) <= _LONGEST else None
    if parts is None:
        raise BlockedDestination(
            f"{url!r:.200} cannot be a destination: write https://host/path, in at most {_LONGEST}"
            " ASCII characters, without user, spaces or a fragment"
        )
    secure = parts["scheme"].lower() == "https"
    port = int(parts["port"]) if parts["port"] else (443 if secure else 80)
    if not 0 < port <= _LARGEST_PORT:
        raise BlockedDestination(f"there is no port {port}")
    target = parts["target"]
    if not target.startswith("/"):
        target = "/" + target
    host, address = _host(parts["host"].lower())
    return Destination(secure, host, port, target, address)


def _host(text: str) -> tuple[str, Address | None]:
    try:
        if text.startswith("["):
            return str(six := IPv6Address(text[1:-1])), six
        # What ends in a number is an address to most programs, and none may be written oddly.
        if _NUMBER.fullmatch(text.removesuffix(".").rpartition(".")[2]):
            return text, IPv4Address(text)
    except ValueError:
        raise BlockedDestination(f"{text:.200} is no IP address in its usual form") from None
    if len(text) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, text.split("."))):
        raise BlockedDestination(f"{text:.200} is no host name")
    return text, None
