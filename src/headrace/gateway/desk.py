"""Desk: what every resource needs to serve a request: the App, the settings, and who asks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from starlette.requests import HTTPConnection

from headrace.app import App
from headrace.callers import answer
from headrace.engine import Engine
from headrace.gateway.caller import Caller
from headrace.gateway.door.doorkeeper import Doorkeeper
from headrace.gateway.door.guard import FIELDS
from headrace.gateway.door.load import Load
from headrace.gateway.problem import Problem
from headrace.gateway.quota import Buckets
from headrace.gateway.settings import Settings
from headrace.record import Record
from headrace.reply import Reply

T = TypeVar("T")

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Admit = Callable[[HTTPConnection], Awaitable[Caller]]


class Desk:
    """Serves the resources of a gateway.

    Args:
        app: whose tasks and jobs they are about.
        settings: the gateway's.
        admit: finds out who asks, or raises `Problem`.

    Attributes:
        load: how much there is to do.
    """

    def __init__(self, app: App, settings: Settings, admit: Admit) -> None:
        self.app = app
        self.settings = settings
        self.load = Load(settings)
        self._admit = admit
        self._doorkeeper = admit if isinstance(admit, Doorkeeper) else None
        self._buckets = Buckets(app.clock)

    async def caller(self, request: HTTPConnection, scope: str, queue: str | None = None) -> Caller:
        """Return who asks, if it may do what it asks for.

        Args:
            request: the request, or the handshake of a WebSocket.
            scope: what it wants to do, of `SCOPES`.
            queue: the queue that it is about.

        Raises:
            Problem: it is not known (401), may not do this (403), or asks too often (429).
        """
        caller = await self.anyone(request)
        permit(caller, scope, queue)
        return caller

    async def anyone(self, request: HTTPConnection) -> Caller:
        """Return who asks for what everybody who is known may have.

        Raises:
            Problem: it is not known (401), or asks too often (429).
        """
        caller = await self._admit(request)
        if caller.quota is not None:
            told = self._buckets.take(caller.name, caller.quota)
            request.scope[FIELDS] += [(n.lower().encode(), t.encode()) for n, t in told.items()]
        return caller

    async def holds(self, caller: Caller) -> bool:
        """Return whether a caller is still who it was; of an application's own, that is believed.

        Raises:
            HeadraceError: it cannot be told now.
        """
        return self._doorkeeper is None or await self._doorkeeper.holds(caller)

    async def engine(self) -> Engine:
        """Return the engine, open."""
        return (await self.app.aintake()).engine

    async def answer(self, reply: Reply[T]) -> T:
        """Await the engine for as long as a call of it may take."""
        return await answer(reply, self.app.config.deadline)

    async def record(self, caller: Caller, job_id: str) -> Record:
        """Return what the ledger knows of a job.

        Raises:
            Problem: there is no such job, or it is somebody else's: nobody is told which (404).
        """
        record = (await self.records(caller, [job_id])).get(job_id)
        if record is None:
            raise Problem("not-found", f"there is no job {job_id}, or it is no longer kept")
        return record

    async def records(self, caller: Caller, ids: Sequence[str]) -> dict[str, Record]:
        """Return what the ledger knows of jobs; unknown ones and somebody else's are missing."""
        wanted = [job_id for job_id in ids if _ID.fullmatch(job_id)]
        engine = await self.engine()
        found = await self.answer(engine.get(wanted)) if wanted else {}
        return {job_id: record for job_id, record in found.items() if caller.knows(record.message)}


def permit(caller: Caller, scope: str, queue: str | None = None) -> None:
    """Refuse what a caller may not do.

    Raises:
        Problem: it may not do this (403).
    """
    if not caller.may(scope, queue):
        where = f" in queue {queue}" if queue is not None else ""
        detail = f"this key does not allow {scope}{where}"
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'  # RFC 6750 §3.1
        raise Problem("forbidden", detail, {"WWW-Authenticate": challenge})
