"""A name is asked for once, and every address of it is judged."""

from __future__ import annotations

import asyncio

import pytest

from headrace.errors import BlockedDestination, NotDelivered
from headrace.webhooks import lookup
from headrace.webhooks.address import networks
from headrace.webhooks.destination import read
from headrace.webhooks.lookup import Lookup, Resolve


def names(*addresses: str) -> Resolve:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


def find(url: str, resolve: Resolve | None = None, allowed: tuple[str, ...] = ()) -> list[str]:
    there = read(url)
    return [str(each) for each in asyncio.run(Lookup(networks(allowed), resolve).find(there))]


def test_public_addresses_are_found() -> None:
    assert find("https://example.com/", names("8.8.8.8", "2606:4700::1")) == [
        "8.8.8.8",
        "2606:4700::1",
    ]


@pytest.mark.parametrize("inside", ["127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_one_address_that_leads_inside_is_too_many(inside: str) -> None:
    with pytest.raises(BlockedDestination):
        find("https://example.com/", names("8.8.8.8", inside))


def test_an_address_is_asked_of_nobody() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise AssertionError

    assert find("https://8.8.8.8/", resolve) == ["8.8.8.8"]
    with pytest.raises(BlockedDestination):
        find("https://10.0.0.1/", resolve)


def test_a_name_without_addresses_may_have_some_later() -> None:
    with pytest.raises(NotDelivered, match="no address"):
        find("https://example.com/", names())

    async def fail(_host: str, _port: int) -> list[str]:
        raise OSError

    with pytest.raises(NotDelivered):
        find("https://example.com/", fail)


def test_a_name_server_that_says_nothing_is_not_awaited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookup, "_SECONDS", 0.01)

    async def wait(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(NotDelivered):
        find("https://example.com/", wait)


def test_the_system_is_asked_by_default() -> None:
    assert "127.0.0.1" in find("http://localhost:9000/", allowed=("127.0.0.0/8", "::1/128"))
    with pytest.raises(BlockedDestination):
        find("https://localhost:9000/", allowed=("10.0.0.0/8",))
