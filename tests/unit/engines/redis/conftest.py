"""A server, and keys in it, for the tests of the Redis engine's parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.engines.redis import RedisEngine
from headrace.engines.redis.address import Address, parse
from headrace.engines.redis.asking import pack
from headrace.engines.redis.link import Link
from headrace.engines.redis.reader import Asker
from headrace.testing import ManualClock
from tests import redis_server


@pytest.fixture
def url() -> Iterator[str]:
    with redis_server.keys() as url:
        yield url


@pytest.fixture
def address(url: str) -> Address:
    return parse(url)


@pytest.fixture
def link(address: Address) -> Iterator[Link]:
    link = Link(address)
    yield link
    link.close()


@pytest.fixture
def asker(link: Link, address: Address) -> Asker:
    return Asker(link, address.key, lambda note, run: pack((False, False, note, run, 0)))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(url: str, clock: ManualClock) -> Iterator[RedisEngine]:
    engine = RedisEngine(url, clock=clock, allow_volatile_server=True)
    engine.open().wait(10)
    yield engine
    engine.close().wait(10)
