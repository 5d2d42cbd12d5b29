"""Gateway: the HTTP face of an App, as an ASGI application. What it serves is the architecture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import HTTPConnection
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from headrace.app import App
from headrace.gateway.caller import ANONYMOUS, Caller
from headrace.gateway.deliveries import Deliveries
from headrace.gateway.desk import Admit, Desk
from headrace.gateway.endpoints import Endpoints
from headrace.gateway.guard import Guard
from headrace.gateway.handover import Handover
from headrace.gateway.jobs import Jobs
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings
from headrace.gateway.signing import Signing
from headrace.webhooks import Webhooks


class Gateway:
    """Serves an App over HTTP: `uvicorn module:gateway`, or mounted into another application.

    The engine is opened when the server starts, or at the first request where it is mounted.

    Args:
        app: whose tasks may be called.
        settings: limits, and whom it serves.
        admit: finds out who asks: an application's own way to log in. It is called with each
            request, and returns a `Caller` or raises `Problem`. By default, API keys.
    """

    def __init__(
        self, app: App, settings: Settings | None = None, *, admit: Admit | None = None
    ) -> None:
        self.app = app
        self.settings = settings or Settings()
        Webhooks(app)
        desk = Desk(app, self.settings, admit or self._admit)
        routes = [
            *Handover(desk).routes,
            *Jobs(desk).routes,
            *Endpoints(desk).routes,
            *Deliveries(desk).routes,
            *Signing(desk).routes,
        ]
        # A router alone: what a request needs besides, the guard does at a third of the price.
        site = Router(routes, redirect_slashes=False, lifespan=self._lifespan)
        self._guard = Guard(site, self.settings, desk.load)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, one WebSocket, or the server itself (ASGI)."""
        await self._guard(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        async with self.app:
            yield

    async def _admit(self, _: HTTPConnection) -> Caller:
        if not self.settings.anonymous:
            raise Problem("unauthenticated", headers={"WWW-Authenticate": "Bearer"})
        return ANONYMOUS
