"""Metrics: numbers about queues and jobs, for whoever scrapes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.desk import Desk
from headrace.record import QueueStatus

Expose = Callable[[Sequence[QueueStatus], str], tuple[bytes, str]]
"""Makes a page of how the queues are doing and a scraper's `Accept`; returns its type, too."""

_CACHE_SECONDS = 5.0


class MetricsPage:
    """Shows numbers.

    Args:
        desk: serves.
        expose: writes them down.
    """

    def __init__(self, desk: Desk, expose: Expose) -> None:
        self._desk = desk
        self._expose = expose
        self._statuses: tuple[QueueStatus, ...] = ()
        self._asked: float | None = None
        self.routes = [Route("/metrics", self._show, methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        """Show them; the engine is asked about its queues once in five seconds at most."""
        await self._desk.caller(request, "metrics")
        now = self._desk.app.clock.monotonic()
        if self._asked is None or now - self._asked >= _CACHE_SECONDS:
            engine = await self._desk.engine()
            self._statuses = await self._desk.answer(engine.depth())
            self._asked = now
        page, media_type = self._expose(self._statuses, request.headers.get("accept", ""))
        return Response(page, 200, {"Cache-Control": "no-store"}, media_type)
