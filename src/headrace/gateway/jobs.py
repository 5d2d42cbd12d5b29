"""Jobs: what became of them, for whoever asks; and cancel and retry."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.desk import Desk
from headrace.gateway.portrait import MEDIA_TYPE, encode, etag, portrait


class Jobs:
    """Tells of jobs, and changes them.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/v1/jobs/{job}", self._show, methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        """Tell of one job: always 200 for a known one, whatever became of it."""
        caller = await self._desk.caller(request, "jobs:read")
        record = await self._desk.record(caller, request.path_params["job"])
        base = request.scope.get("root_path", "")
        body = encode(portrait(record, None, self._desk.settings.inline_result, base))
        headers = {"ETag": etag(body), "Cache-Control": "no-cache, private"}
        return Response(body, 200, headers, MEDIA_TYPE)
