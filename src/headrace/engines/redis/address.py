"""Where a server is, as its URL says: without secrets in anything that is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool, SSLConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from headrace.errors import ConfigError

SCHEMES = ("redis", "rediss", "redis+sentinel")

_PORT = 6379
_SENTINEL_PORT = 26379
_CONNECT_SECONDS = 3.0
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS = ("prefix", "wait_replicas", *_TLS)
_EXAMPLES = (
    "redis://host:6379/0, rediss://user:password@host/0?prefix=shop or"
    " redis+sentinel://one:26379,two:26379/service/0"
)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A server, or the sentinels that know it, and where in it our keys are.

    Attributes:
        scheme: one of `SCHEMES`.
        hosts: names and ports; several only for sentinels.
        service: the name by which sentinels know the server; "" without them.
        db: the number of the database.
        prefix: what keys begin with, between braces: they all belong together.
        wait_replicas: how many replicas have to confirm each commit.
        username, password: who we are.
        tls: files for TLS, by redis-py's names.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    service: str = ""
    db: int = 0
    prefix: str = "headrace"
    wait_replicas: int = 0
    username: str | None = None
    password: str | None = None
    tls: dict[str, str] = {}

    @property
    def key(self) -> str:
        """What all keys begin with; the braces keep them on one node of a cluster."""
        return f"{{{self.prefix}}}"

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __str__(self) -> str:
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        service = f"/{self.service}" if self.service else ""
        return f"{self.scheme}://{hosts}{service}/{self.db}?prefix={self.prefix}"

    def pool(self, timeout: float) -> ConnectionPool:
        """Return what makes connections; none is made yet.

        Args:
            timeout: seconds to wait for an answer before the connection is taken for dead.
        """
        settings: dict[str, Any] = {
            "db": self.db,
            "username": self.username,
            "password": self.password,
            "socket_timeout": timeout,
            "socket_connect_timeout": _CONNECT_SECONDS,
            "socket_keepalive": True,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),  # whoever asks decides what is asked again
        }
        if self.service:
            sentinel = Sentinel(
                list(self.hosts),
                socket_timeout=_CONNECT_SECONDS,
                socket_connect_timeout=_CONNECT_SECONDS,
            )
            return SentinelConnectionPool(self.service, sentinel, **settings)
        host, port = self.hosts[0]
        if self.scheme == "rediss":
            settings |= {"connection_class": SSLConnection, **self.tls}
        return ConnectionPool(host=host, port=port, **settings)


def parse(url: str) -> Address:
    """Return what a URL says.

    Raises:
        ConfigError: it is none of ours, or has an option that does not exist.
    """
    parts = urlsplit(url)
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    except ValueError:
        options = {"": parts.query} if parts.query else {}
    for name in options:
        if name not in _OPTIONS:
            raise ConfigError(f"the Redis URL has no option {name!r}: there are {_listed()}")
    service, db = _path(parts)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    return Address(
        scheme=parts.scheme,
        hosts=_hosts(hosts, _SENTINEL_PORT if service else _PORT),
        service=service,
        db=db,
        prefix=_prefix(options.get("prefix", "headrace")),
        wait_replicas=_count("wait_replicas", options),
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls={name: options[name] for name in _TLS if name in options},
    )


def _listed() -> str:
    return ", ".join(f"`{option}`" for option in _OPTIONS)


def _path(parts: SplitResult) -> tuple[str, int]:
    """Return the service, if sentinels are asked, and the number of the database."""
    names = [unquote(name) for name in parts.path.split("/")[1:] if name]
    service = ""
    if parts.scheme == "redis+sentinel":
        if not names:
            raise ConfigError(f"the Redis URL names no service after the sentinels: {_EXAMPLES}")
        service = names.pop(0)
    number = names.pop(0) if names else "0"
    if names or not (number.isascii() and number.isdigit()):
        raise ConfigError(f"the Redis URL ends with the database's number: {_EXAMPLES}")
    return service, int(number)


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    hosts: list[tuple[str, int]] = []
    for place in text.split(","):
        one = urlsplit(f"//{place}")
        try:
            hosts.append((one.hostname or "127.0.0.1", one.port or port))
        except ValueError:
            raise ConfigError(f"the Redis URL has no such port: {_EXAMPLES}") from None
    return tuple(hosts)


def _prefix(text: str) -> str:
    if not text or not text.isprintable() or "{" in text or "}" in text:
        raise ConfigError(f"prefix={text!r} in the Redis URL: use printable text without braces")
    return text


def _count(name: str, options: Mapping[str, str]) -> int:
    text = options.get(name, "0")
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{name}={text!r} in the Redis URL: use a number")
    return int(text)
