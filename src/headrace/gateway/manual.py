"""Manual: the gateway described for people and programs, and the module that browsers import."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.conditional import answer, known_to
from headrace.gateway.description import describe
from headrace.gateway.desk import Desk
from headrace.gateway.portrait import MEDIA_TYPE, encode, etag

_FILES = {
    "/v1/docs": ("docs.html", "text/html; charset=utf-8"),
    "/v1/docs.css": ("docs.css", "text/css; charset=utf-8"),
    "/v1/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/v1/headrace.js": ("headrace.js", "text/javascript; charset=utf-8"),
}
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SAFE = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
}


class Manual:
    """Serves the OpenAPI document, a page that shows it, and the module for browsers.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/v1/openapi.json", self._describe, methods=["GET"]),
            *(Route(path, self._send, methods=["GET"]) for path in _FILES),
        ]

    async def _describe(self, request: Request) -> Response:
        """Describe the gateway and the tasks that the caller may call (OpenAPI 3.1)."""
        caller = await self._desk.caller(request, "jobs:submit")
        tasks = [t for t in self._desk.app.registry if caller.uses(t.options.queue)]
        body = encode(describe(tasks, request.scope.get("root_path", "")))
        headers = {"ETag": etag(body), "Cache-Control": "no-cache, private"}
        return answer(body, MEDIA_TYPE, known_to(request), headers)

    async def _send(self, request: Request) -> Response:
        """Send a file that comes with the gateway; it is the same for everybody."""
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        name, kind = _FILES[path]
        body = files("headrace.gateway").joinpath("static", name).read_bytes()
        return answer(body, kind, known_to(request), {"ETag": etag(body), **_SAFE})
