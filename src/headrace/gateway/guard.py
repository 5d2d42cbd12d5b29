"""Guard: stands before the gateway and turns away what is not to be looked at."""

from __future__ import annotations

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import HeadraceError
from headrace.gateway.problem import Problem, of
from headrace.gateway.settings import Settings

_log = logging.getLogger("headrace")

_KINDS = {404: "not-found", 405: "method-not-allowed"}


class Guard:
    """Checks where a request wants to go, and how large it says that it is, before it is read.

    Args:
        site: what answers those that pass.
        settings: the limits.
    """

    def __init__(self, site: ASGIApp, settings: Settings) -> None:
        self._site = site
        self._settings = settings
        self._handled = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem (ASGI)."""
        if scope["type"] == "lifespan":
            await self._site(scope, receive, send)
            return
        try:
            self._check(scope)
        except Problem as problem:
            await self._turn_away(problem, scope, receive, send)
            return
        self._handled += 1
        try:
            await self._site(scope, receive, send)
        finally:
            self._handled -= 1

    def _check(self, scope: Scope) -> None:
        settings = self._settings
        if self.draining:
            raise Problem("draining", "another process will answer", {"Retry-After": "1"})
        if self._handled >= settings.max_requests:
            raise Problem("temporary-reduced-capacity", "", {"Retry-After": "1"})
        if len(scope["raw_path"]) + len(scope["query_string"]) > settings.max_url:
            raise Problem("uri-too-long", f"the limit is {settings.max_url} bytes")

    async def _turn_away(
        self, problem: Problem, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
            return
        await problem.response(scope.get("root_path", ""))(scope, receive, send)


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer what a resource raised."""
    return _problem(error).response(request.scope.get("root_path", ""))


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        kind = _KINDS.get(error.status_code, "malformed-request")
        return Problem(kind, headers=error.headers or {})
    if isinstance(error, HeadraceError):
        return of(error)
    _log.error("a request failed unexpectedly", exc_info=error)
    return Problem("internal-error")


HANDLERS: dict[Any, Any] = {
    Problem: answer_error,
    HTTPException: answer_error,
    HeadraceError: answer_error,
    Exception: answer_error,
}
