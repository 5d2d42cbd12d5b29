"""Handover: where work is handed over: it is accepted durably, and then answered with 202."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.desk import Desk
from headrace.gateway.portrait import MEDIA_TYPE, accepted, encode, etag
from headrace.gateway.problem import retry_after


class Handover:
    """Accepts calls of tasks.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/v1/tasks/{task}", self._call, methods=["POST"])]

    async def _call(self, request: Request) -> Response:
        """Accept one call; the body is its arguments (RFC 9110 §15.3.3)."""
        app = self._desk.app
        task = app.registry.get(request.path_params["task"])
        await self._desk.caller(request, "jobs:submit", task.options.queue)
        call = task.call_json(await request.body())
        (job,) = await app.asubmit([call])
        base = request.scope.get("root_path", "")
        body = encode(accepted(call.message(job.id), app.clock.now(), base))
        headers = {"Location": f"{base}/v1/jobs/{job.id}", "ETag": etag(body), **retry_after(1)}
        return Response(body, 202, headers, MEDIA_TYPE)
