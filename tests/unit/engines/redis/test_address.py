"""URLs say where a server is; nothing that is shown says who we are."""

from __future__ import annotations

import pytest
from redis.connection import ConnectionPool, SSLConnection
from redis.sentinel import SentinelConnectionPool

from headrace.engines.redis.address import parse
from headrace.errors import ConfigError


def test_a_plain_url() -> None:
    address = parse("redis://example.org/3?prefix=shop")
    assert address.hosts == (("example.org", 6379),)
    assert (address.db, address.key) == (3, "{shop}")
    assert str(address) == "redis://example.org:6379/3?prefix=shop"


def test_what_is_not_said_is_the_usual() -> None:
    address = parse("redis://")
    assert address.hosts == (("127.0.0.1", 6379),)
    assert (address.db, address.key, address.wait_replicas) == (0, "{headrace}", 0)


def test_secrets_are_used_and_not_shown() -> None:
    address = parse("rediss://me:s3cr%40t@host:7000/0?ssl_ca_certs=/ca.pem&wait_replicas=2")
    assert (address.username, address.password) == ("me", "s3cr@t")
    assert address.wait_replicas == 2
    for shown in (str(address), repr(address)):
        assert "s3cr" not in shown
    pool = address.pool(1.0)
    assert isinstance(pool, ConnectionPool)
    assert pool.connection_class is SSLConnection
    assert pool.connection_kwargs["password"] == "s3cr@t"  # noqa: S105 - made up
    assert pool.connection_kwargs["ssl_ca_certs"] == "/ca.pem"


def test_sentinels_lead_to_a_service() -> None:
    address = parse("redis+sentinel://:pw@one,two:26380/mymaster/1")
    assert address.hosts == (("one", 26379), ("two", 26380))
    assert (address.service, address.db, address.password) == ("mymaster", 1, "pw")
    assert isinstance(address.pool(1.0), SentinelConnectionPool)
    assert str(address) == "redis+sentinel://one:26379,two:26380/mymaster/1?prefix=headrace"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:s3cret@host/x", "number"),
        ("redis://:s3cret@host/0/1", "number"),
        ("redis://:s3cret@host:port/0", "no such port"),
        ("redis://:s3cret@host/0?prefixes=a", "no option 'prefixes'"),
        ("redis://:s3cret@host/0?prefix=", "prefix=''"),
        ("redis://:s3cret@host/0?prefix={a}", "without braces"),
        ("redis://:s3cret@host/0?wait_replicas=many", "use a number"),
        ("redis+sentinel://:s3cret@host", "no service"),
    ],
)
def test_what_makes_no_sense_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        parse(url)
    assert "s3cret" not in str(refused.value)
