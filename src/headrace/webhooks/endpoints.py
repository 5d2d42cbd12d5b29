"""Endpoints: those that are registered, in the engine's store, and how they are doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from headrace.callers import answer
from headrace.engine import Engine, Entry
from headrace.errors import Conflict
from headrace.reply import Reply
from headrace.webhooks.endpoint import Endpoint, SigningKey
from headrace.write import Delete, Put

PREFIX = "endpoint/"
_KEYS = "webhook-keys/"
_PAGE = 1000

T = TypeVar("T")


class Endpoints:
    """Reads and changes what is registered.

    Args:
        engine: keeps it.
        deadline: seconds that one call of the engine may take.
    """

    def __init__(self, engine: Engine, deadline: float) -> None:
        self._engine = engine
        self._deadline = deadline

    async def all(self) -> list[tuple[Endpoint, int]]:
        """Return all of them, with their versions, in the order of their ids."""
        found: list[tuple[Endpoint, int]] = []
        after = ""
        while entries := await self._answer(self._engine.scan(PREFIX, limit=_PAGE, after=after)):
            found += [(read(entry), entry.version) for entry in entries]
            after = entries[-1].key
        return found

    async def get(self, endpoint_id: str) -> tuple[Endpoint, int] | None:
        """Return an endpoint and its version, if it is there."""
        key = PREFIX + endpoint_id
        entry = (await self._answer(self._engine.load([key]))).get(key)
        return None if entry is None else (read(entry), entry.version)

    async def put(self, endpoint: Endpoint, expect: int) -> int:
        """Register or change an endpoint, and return its version.

        Args:
            endpoint: as it is to be.
            expect: the version that it must have now; 0: none.

        Raises:
            Conflict: somebody else has changed it.
        """
        value = msgspec.json.encode(endpoint)
        write = Put(PREFIX + endpoint.id, value, expect=expect)
        return (await self._answer(self._engine.apply(write))).version

    async def delete(self, endpoint_id: str, expect: int | None) -> None:
        """Forget an endpoint.

        Raises:
            Conflict: somebody else has changed it.
        """
        await self._answer(self._engine.apply(Delete(PREFIX + endpoint_id, expect=expect)))

    async def change(self, endpoint_id: str, **changes: Any) -> None:
        """Change an endpoint, whatever others do meanwhile; harmless if it is gone."""
        while (found := await self.get(endpoint_id)) is not None:
            endpoint, version = found
            try:
                await self.put(msgspec.structs.replace(endpoint, **changes), version)
            except Conflict:
                continue
            return

    async def keys(self, tenant: str | None) -> tuple[tuple[SigningKey, ...], int]:
        """Return what signs the callbacks of a tenant's jobs, with its version; 0: nothing yet."""
        key = _keys_of(tenant)
        entry = (await self._answer(self._engine.load([key]))).get(key)
        if entry is None:
            return (), 0
        return msgspec.json.decode(entry.value, type=tuple[SigningKey, ...]), entry.version

    async def put_keys(self, tenant: str | None, keys: Sequence[SigningKey], expect: int) -> None:
        """Set what signs the callbacks of a tenant's jobs.

        Raises:
            Conflict: somebody else has changed it.
        """
        value = msgspec.json.encode(tuple(keys))
        await self._answer(self._engine.apply(Put(_keys_of(tenant), value, expect=expect)))

    async def _answer(self, reply: Reply[T]) -> T:
        return await answer(reply, self._deadline)


def read(entry: Entry) -> Endpoint:
    """Return the endpoint that an entry holds."""
    return msgspec.json.decode(entry.value, type=Endpoint)


def read_all(engine: Engine, deadline: float) -> list[Endpoint]:
    """Return all endpoints; for a thread that may wait."""
    found: list[Endpoint] = []
    after = ""
    while entries := engine.scan(PREFIX, limit=_PAGE, after=after).wait(deadline):
        found += map(read, entries)
        after = entries[-1].key
    return found


def _keys_of(tenant: str | None) -> str:
    return _KEYS if tenant is None else f"{_KEYS}{tenant}"
