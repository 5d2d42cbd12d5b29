"""Sockets: where a WebSocket is opened (RFC 6455), and by whom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from headrace.errors import HeadraceError
from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk, permit
from headrace.gateway.door.origins import check_origin
from headrace.gateway.problem import Problem, of
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.order import MISREAD, PROTOCOL, introduction
from headrace.gateway.watching.session import Session
from headrace.gateway.watching.tickets import Tickets

_log = logging.getLogger("headrace")

UNKNOWN = 4401
FORBIDDEN = 4403
TRY_LATER = 1013
INTRODUCTION_SECONDS = 5.0
INSPECTION_SECONDS = 0.5
"""How often it is asked whether keys still hold; they are remembered for four seconds."""

_SCOPE = "jobs:read"


class Sockets:
    """Opens WebSockets.

    A client says who it is in the handshake, by an API key or a ticket, or in its first message:
    no page of elsewhere can do any of these for its visitor.

    Args:
        desk: serves.
        feed: brings the news.
        tickets: let browsers in.
    """

    def __init__(self, desk: Desk, feed: Feed, tickets: Tickets) -> None:
        self._desk = desk
        self._feed = feed
        self._tickets = tickets
        self._sessions: dict[Caller, set[Session]] = {}
        self._inspection: asyncio.Task[None] | None = None
        self.routes = [WebSocketRoute("/v1/ws", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        try:
            check_page(socket, self._desk.settings.origins)
            caller = await self._known(socket)
        except Problem as problem:
            await _deny(socket, problem)
            return
        except HeadraceError as error:
            await _deny(socket, of(error))
            return
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
            try:
                if caller is None:
                    with self._desk.load.pausing():  # strangers take no place of those who work
                        caller = await self._introduced(socket)
                if caller is not None:
                    await self._talk(Session(socket, caller, self._desk, self._feed), caller)
            except Problem as problem:
                await socket.close(TRY_LATER, problem.title)
        except WebSocketDisconnect:
            pass  # it left while it was spoken to

    async def _talk(self, session: Session, caller: Caller) -> None:
        """Serve a client for as long as its key holds."""
        self._sessions.setdefault(caller, set()).add(session)
        if self._inspection is None:
            self._inspection = asyncio.create_task(self._inspect())
        try:
            await session.run()
        finally:
            self._sessions[caller].discard(session)
            if not self._sessions[caller]:
                del self._sessions[caller]
            if not self._sessions and self._inspection is not None:
                self._inspection.cancel()
                self._inspection = None

    async def _inspect(self) -> None:
        """Send those away whose key was revoked, has expired, or allows something else now."""
        while True:
            await asyncio.sleep(INSPECTION_SECONDS)
            for caller in tuple(self._sessions):
                try:
                    holds = await self._desk.holds(caller)
                except Exception as error:  # noqa: BLE001 - not known now; it is asked again
                    _log.warning("whether a key still holds is not known: %s", error)
                    continue
                for session in () if holds else tuple(self._sessions.get(caller, ())):
                    session.dismiss(UNKNOWN, "the key does not hold any more")

    async def _known(self, socket: WebSocket) -> Caller | None:
        """Return who asks, if the handshake says so; None: its first message has to.

        Raises:
            Problem: what it says is not true (401), or not enough (403).
        """
        try:
            return await self._tickets.caller(socket, _SCOPE)
        except Problem as problem:
            said = "authorization" in socket.headers or "ticket" in socket.query_params
            if said or problem.kind != "unauthenticated":
                raise
            return None

    async def _introduced(self, socket: WebSocket) -> Caller | None:
        """Return who asks, as the first message says; None if that is nobody, who is sent away."""
        try:
            async with asyncio.timeout(INTRODUCTION_SECONDS):
                text = await socket.receive_text()
            said = introduction(text[: self._desk.settings.max_message])
            if said.ticket is not None:
                caller = await self._tickets.take(said.ticket)
            else:
                caller = await self._desk.caller(_with_key(socket, said.token or ""), _SCOPE)
            permit(caller, _SCOPE)
        except TimeoutError:
            await socket.close(UNKNOWN, f"say who you are in {INTRODUCTION_SECONDS:g} s")
        except (*MISREAD, KeyError):  # KeyError: it was binary
            await socket.close(UNKNOWN, 'begin with {"op": "auth", "ticket": …}')
        except Problem as problem:
            forbidden = problem.kind == "forbidden"
            await socket.close(FORBIDDEN if forbidden else UNKNOWN, problem.title)
        except HeadraceError:
            await socket.close(TRY_LATER, "try again later")
        else:
            return caller
        return None


def check_page(socket: WebSocket, origins: Sequence[str]) -> None:
    """Turn away a page of elsewhere, and who does not say what page it is but has a cookie.

    A cookie is sent along by browsers, whatever the page; a key or ticket is not (RFC 6455 §10.2).

    Raises:
        Problem: it is such a page, or may be one (403).
    """
    check_origin(socket.scope, origins)
    headers = socket.headers
    shown = "authorization" in headers or "ticket" in socket.query_params
    if "cookie" in headers and "origin" not in headers and not shown:
        raise Problem("forbidden", "a cookie alone is good for web pages: send Origin, or a key")


def _with_key(socket: WebSocket, key: str) -> HTTPConnection:
    """Return the handshake as it would have been with an API key."""
    field = (b"authorization", b"Bearer " + key.encode("utf-8", "replace"))
    return HTTPConnection({**socket.scope, "headers": [*socket.scope["headers"], field]})


async def _deny(socket: WebSocket, problem: Problem) -> None:
    """Refuse a handshake with an answer, where the server can; else with 403."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        response: Response = problem.response(str(socket.scope.get("root_path", "")))
        await socket.send_denial_response(response)
    else:
        await socket.close(1008, problem.title)
