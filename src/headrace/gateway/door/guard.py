"""Guard: stands before the gateway and turns away what is not to be looked at."""

from __future__ import annotations

import logging
from itertools import chain
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.errors import HeadraceError
from headrace.gateway.door.hosts import check_host
from headrace.gateway.door.load import Load
from headrace.gateway.door.origins import check_origin
from headrace.gateway.problem import Problem, of
from headrace.gateway.settings import Settings

_log = logging.getLogger("headrace")

FIELDS = "headrace.fields"
"""Where in a request's scope header fields of its answer are gathered, as pairs of bytes."""

_KINDS = {404: "not-found", 405: "method-not-allowed"}
_PROBES = ("/livez", "/readyz")
_TRY_AGAIN_LATER = 1013
_NO_HANDLERS: tuple[dict[Any, Any], dict[int, Any]] = ({}, {})


class Guard:
    """Checks where a request wants to go, and how large its head is, before its body is read.

    Args:
        site: what answers those that pass.
        settings: the limits.
        load: counts them.
    """

    def __init__(self, site: ASGIApp, settings: Settings, load: Load) -> None:
        self._site = site
        self._settings = settings
        self._load = load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem (ASGI)."""
        if scope["type"] == "lifespan":
            await self._site(scope, receive, send)
            return
        fields: list[tuple[bytes, bytes]] = []
        scope[FIELDS] = fields
        scope["app"] = self._site
        scope["starlette.exception_handlers"] = (
            _NO_HANDLERS  # not those of whatever it is mounted in
        )
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if fields and not begun and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *fields]
            begun = True
            await send(message)

        load = self._load
        load.handled += 1
        try:
            self._check(scope)
            await self._site(scope, receive, answer)
        except Exception as error:
            if begun:
                raise
            await _turn_away(error, scope, receive, answer)
        finally:
            load.handled -= 1

    def _check(self, scope: Scope) -> None:
        """Refuse what is not to be looked at; what costs least comes first."""
        if not scope["path"].endswith(_PROBES):
            self._load.check()
        settings = self._settings
        path = scope.get("raw_path") or scope["path"].encode()
        if len(path) + len(scope["query_string"]) > settings.max_url:
            raise Problem("uri-too-long", f"the limit is {settings.max_url} bytes")
        if b"%" in path:
            _check_path(path)
        fields = scope["headers"]
        size = sum(map(len, chain.from_iterable(fields)))
        if size > settings.max_headers:
            detail = f"the header fields have {size} bytes; the limit is {settings.max_headers}"
            raise Problem("headers-too-large", detail, limit=settings.max_headers)
        check_host(scope, settings.hosts)
        check_origin(scope, settings.origins)


def _check_path(path: bytes) -> None:
    try:
        text = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise Problem("malformed-request", "the path is not percent-encoded UTF-8") from None
    if not text.isprintable():
        raise Problem("malformed-request", "there are control characters in the path")


async def _turn_away(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    denial = "websocket.http.response" in scope.get("extensions", {})
    if scope["type"] == "websocket" and not denial:
        await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
        return
    await _told(error, scope.get("root_path", ""))(scope, receive, send)


def _told(error: Exception, base: str) -> Response:
    """Return the answer to a request for which a resource raised something."""
    if isinstance(error, Problem):
        return error.response(base)
    if isinstance(error, HTTPException):
        kind = _KINDS.get(error.status_code, "malformed-request")
        return Problem(kind, headers=error.headers or {}).response(base)
    if isinstance(error, HeadraceError):
        return of(error).response(base)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # for the log: nobody is there to read it
    _log.error("a request failed unexpectedly", exc_info=error)
    return Problem("internal-error").response(base)
