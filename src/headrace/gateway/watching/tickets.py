"""Tickets: let a browser in where it cannot send an API key: `EventSource` and `WebSocket`.

A ticket is good once, and only for some seconds: an address ends up in logs and histories.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.errors import Conflict
from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk, permit
from headrace.gateway.portrait import MEDIA_TYPE, encode, moment
from headrace.gateway.problem import Problem
from headrace.write import Delete, Put

LIFETIME = 30.0
"""Seconds in which a ticket is to be used."""

PREFIX = "ticket/"

_LENGTH_LIMIT = 128


class Tickets:
    """Gives out tickets, and takes them.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/v1/tickets", self._give, methods=["POST"])]

    async def caller(self, connection: HTTPConnection, scope: str) -> Caller:
        """Return who asks: by the ticket in the query, or else as everywhere.

        Raises:
            Problem: the ticket is not good, or not any more (401); it does not allow this (403).
        """
        ticket = connection.query_params.get("ticket")
        if ticket is None:
            return await self._desk.caller(connection, scope)
        caller = await self.take(ticket)
        permit(caller, scope)
        return caller

    async def take(self, ticket: str) -> Caller:
        """Return whose ticket it is, and let nobody use it again.

        Raises:
            Problem: it is not good, or not any more (401).
        """
        engine = await self._desk.engine()
        key = _key(ticket)
        entry = (await self._desk.answer(engine.load([key]))).get(key)
        if entry is None or len(ticket) > _LENGTH_LIMIT:
            raise _refused()
        try:
            await self._desk.answer(engine.apply(Delete(key, expect=entry.version)))
        except Conflict:  # somebody was faster
            raise _refused() from None
        caller = msgspec.json.decode(entry.value, type=Caller)
        if not await self._desk.holds(caller):
            raise _refused()
        return caller

    async def _give(self, request: Request) -> Response:
        """Give a ticket to a caller; whoever shows it is that caller."""
        caller = await self._desk.caller(request, "jobs:read")
        secret = urlsafe_b64encode(self._desk.app.ids.secret()).decode().rstrip("=")
        value = msgspec.json.encode(caller)
        engine = await self._desk.engine()
        await self._desk.answer(engine.apply(Put(_key(secret), value, expires_after=LIFETIME)))
        until = moment(self._desk.app.clock.now() + LIFETIME)
        headers = {"Cache-Control": "no-store"}
        return Response(encode({"ticket": secret, "until": until}), 201, headers, MEDIA_TYPE)


def _key(ticket: str) -> str:
    """Return what a ticket is remembered by: whoever reads the store cannot use it."""
    return PREFIX + sha256(ticket.encode("utf-8", "replace")).hexdigest()


def _refused() -> Problem:
    headers = {"WWW-Authenticate": "Bearer"}
    return Problem("unauthenticated", "the ticket is unknown, used or too old", headers)
