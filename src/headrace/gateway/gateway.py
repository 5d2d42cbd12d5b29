"""Gateway: the HTTP face of an App, as an ASGI application. What it serves is the architecture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from headrace.app import App
from headrace.gateway.desk import Admit, Desk
from headrace.gateway.door.doorkeeper import Doorkeeper
from headrace.gateway.door.guard import Guard
from headrace.gateway.door.origins import Origins
from headrace.gateway.handover.handover import Handover
from headrace.gateway.health import Health
from headrace.gateway.jobs import Jobs
from headrace.gateway.listing import Listing
from headrace.gateway.manual import Manual
from headrace.gateway.meta import Meta
from headrace.gateway.metrics import Expose, MetricsPage
from headrace.gateway.problems import Problems
from headrace.gateway.queues import Queues
from headrace.gateway.settings import Settings
from headrace.gateway.tracing import Tracing
from headrace.gateway.watching.events import Events
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.sockets import Sockets
from headrace.gateway.watching.tickets import Tickets
from headrace.gateway.webhooks.deliveries import Deliveries
from headrace.gateway.webhooks.endpoints import Endpoints
from headrace.gateway.webhooks.signing import Signing
from headrace.webhooks import Webhooks


class Gateway:
    """Serves an App over HTTP: `uvicorn module:gateway`, or mounted into another application.

    The engine is opened when the server starts, or at the first request where it is mounted.

    Args:
        app: whose tasks may be called.
        settings: limits, and whom it serves.
        admit: finds out who asks: an application's own way to log in. It is called with each
            request, and returns a `Caller` or raises `Problem`. By default, API keys.
        metrics: writes numbers down for Prometheus, such as
            `headrace.observe.prometheus.Metrics(app).expose`; None: they are not served.

    Attributes:
        app: the App.
        settings: the settings.
        routes: everything that it serves.
    """

    def __init__(
        self,
        app: App,
        settings: Settings | None = None,
        *,
        admit: Admit | None = None,
        metrics: Expose | None = None,
    ) -> None:
        self.app = app
        self.settings = settings or Settings()
        Webhooks(app)
        self._desk = desk = Desk(app, self.settings, admit or Doorkeeper(app, self.settings))
        self._feed = feed = Feed(desk)
        tickets = Tickets(desk)
        self.routes = [
            *Handover(desk).routes,  # first: they are looked through in this order
            *Listing(desk).routes,
            *Jobs(desk, feed).routes,
            *Events(desk, feed, tickets).routes,
            *Sockets(desk, feed, tickets).routes,
            *tickets.routes,
            *Health(desk).routes,
            *Meta(desk).routes,
            *Problems().routes,
            *Queues(desk).routes,
            *Endpoints(desk).routes,
            *Deliveries(desk).routes,
            *Signing(desk).routes,
            *Manual(desk).routes,
            *(MetricsPage(desk, metrics).routes if metrics is not None else ()),
        ]
        # A router alone: what a request needs besides, the guard does at a third of the price.
        site = Router(self.routes, redirect_slashes=False, lifespan=self._lifespan)
        guard = Guard(Tracing(site, app.clock), self.settings, desk.load)
        self._door = Origins(guard, self.settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, one WebSocket, or the server itself (ASGI)."""
        await self._door(scope, receive, send)

    def drain(self) -> None:
        """Take on nothing more, and let nobody wait any longer: the process is about to stop."""
        self._feed.drain()

    @property
    def waiting(self) -> int:
        """How many requests, streams and sockets wait for news of jobs."""
        return self._desk.load.waiting

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        async with self.app:
            self._desk.load.draining = False  # it may have been served, and stopped, before
            self._feed.start()
            yield
            await self._feed.close()
