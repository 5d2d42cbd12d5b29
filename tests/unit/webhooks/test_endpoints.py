"""Endpoints are kept in the store, and rivals do not undo each other's changes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headrace.app import App
from headrace.errors import Conflict
from headrace.webhooks import endpoints as module
from headrace.webhooks.endpoint import Endpoint, SigningKey
from headrace.webhooks.endpoints import Endpoints, read_all

ENDPOINT = Endpoint(
    id="a", url="https://example.com/", keys=(SigningKey("whsec_"),), created_at=1.0
)


def test_they_are_remembered_in_order(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    store = Endpoints(app.engine, 30.0)

    async def story() -> None:
        assert await store.all() == []
        assert await store.get("a") is None
        for name in "cabed":
            assert await store.put(msgspec.structs.replace(ENDPOINT, id=name), 0) == 1
        assert [found.id for found, _ in await store.all()] == list("abcde")
        assert await store.get("a") == (ENDPOINT, 1)
        await store.delete("a", 1)
        assert await store.get("a") is None
        with pytest.raises(Conflict):
            await store.delete("b", 2)

    asyncio.run(story())
    assert [found.id for found in read_all(app.engine, 30.0)] == list("bcde")


def test_a_change_goes_on_top_of_what_is_there(app: App) -> None:
    store = Endpoints(app.engine, 30.0)
    lost: list[str] = []

    class Rival(Endpoints):
        async def get(self, endpoint_id: str) -> tuple[Endpoint, int] | None:
            found = await super().get(endpoint_id)
            if found is not None and not lost:
                lost.append("once")
                await store.put(msgspec.structs.replace(found[0], note="rival"), found[1])
            return found

    async def story() -> None:
        await store.put(ENDPOINT, 0)
        await Rival(app.engine, 30.0).change("a", failing_since=5.0)
        found = await store.get("a")
        assert found is not None
        assert (found[0].note, found[0].failing_since) == ("rival", 5.0)
        await store.change("gone", enabled=False)
        assert await store.get("gone") is None

    asyncio.run(story())


def test_tenants_have_keys_of_their_own(app: App) -> None:
    store = Endpoints(app.engine, 30.0)

    async def story() -> None:
        assert await store.keys(None) == ((), 0)
        await store.put_keys("acme", [SigningKey("1")], 0)
        await store.put_keys(None, [SigningKey("2")], 0)
        assert await store.keys("acme") == ((SigningKey("1"),), 1)
        with pytest.raises(Conflict):
            await store.put_keys("acme", [], 0)

    asyncio.run(story())
