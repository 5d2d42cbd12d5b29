"""Health: whether the process lives, and whether it can serve: for probes, which show no key."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.errors import HeadraceError
from headrace.gateway.desk import Desk
from headrace.gateway.portrait import MEDIA_TYPE
from headrace.gateway.problem import Problem

READY_SECONDS = 1.0
"""How long the engine may take to answer before nobody should be sent here."""

_WELL = b'{"status":"ok"}'
_FRESH = {"Cache-Control": "no-store"}


class Health:
    """Answers probes.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/livez", self._live, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
        ]

    async def _live(self, _: Request) -> Response:
        """Say that the event loop turns. A database in trouble is no reason to be restarted."""
        return Response(_WELL, 200, _FRESH, MEDIA_TYPE)

    async def _ready(self, _: Request) -> Response:
        """Say whether the engine answers a read, and the process goes on."""
        if self._desk.load.draining:
            raise Problem("draining", "this process is about to stop", _FRESH)
        try:
            async with asyncio.timeout(READY_SECONDS):
                engine = await self._desk.engine()
                await self._desk.answer(engine.scan("headrace.ready/", limit=1))
        except (TimeoutError, HeadraceError):
            raise Problem("engine-unavailable", "it did not answer in time", _FRESH) from None
        return Response(_WELL, 200, _FRESH, MEDIA_TYPE)
