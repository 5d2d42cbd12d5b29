"""Lookup: the addresses of a host, asked for once, and all of them judged."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from headrace.errors import NotDelivered
from headrace.webhooks import address
from headrace.webhooks.address import Address, Network
from headrace.webhooks.destination import Destination

_SECONDS = 2.0
_THREADS = 32

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Lookup:
    """Finds the addresses that a destination stands for.

    Args:
        allowed: networks that may be dialled although they are not public.
        resolve: returns the addresses of a name; by default the system's own way.
    """

    def __init__(self, allowed: Sequence[Network], resolve: Resolve | None = None) -> None:
        self._allowed = allowed
        self._resolve = resolve or _System()

    async def find(self, there: Destination) -> list[Address]:
        """Return the addresses of a destination, each of which may be dialled.

        Raises:
            BlockedDestination: one of them must not be dialled.
            NotDelivered: the name has no address, or nobody said so in time.
        """
        there.precheck(self._allowed)
        if there.address is not None:
            return [there.address]
        try:
            async with asyncio.timeout(_SECONDS):
                texts = await self._resolve(there.host, there.port)
        except (OSError, TimeoutError, UnicodeError):
            texts = []
        found = [address.read(text) for text in texts]
        if not found:
            raise NotDelivered("the name has no address")
        there.check(found, self._allowed)
        return found


class _System:
    """Asks the operating system, in threads of its own: a name server may keep them for long."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def __call__(self, host: str, port: int) -> list[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "headrace-lookup")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _ask, host, port)


def _ask(host: str, port: int) -> list[str]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))
