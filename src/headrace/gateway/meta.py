"""Meta: what a client should know of a gateway before it hands work over."""

from __future__ import annotations

from importlib.metadata import version

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.desk import Desk
from headrace.gateway.portrait import MEDIA_TYPE, encode, moment
from headrace.message import Retention

_LIMITS = (
    "max_body", "max_stream", "max_url", "max_headers", "max_depth", "max_keys", "max_batch",
    "max_message", "body_timeout", "wait_default", "wait_limit", "inline_result",
)  # fmt: skip


class Meta:
    """Tells of the gateway and the program behind it.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/v1/meta", self._show, methods=["GET"]),
            Route("/v1/tasks", self._tasks, methods=["GET"]),
        ]

    async def _show(self, request: Request) -> Response:
        """Tell versions, limits and times; sizes are bytes, durations seconds."""
        await self._desk.anyone(request)
        settings, config = self._desk.settings, self._desk.app.config
        engine = await self._desk.engine()
        limits = {name: getattr(settings, name) for name in _LIMITS}
        content = {
            "version": version("headrace"),
            "time": moment(self._desk.app.clock.now()),
            "durability": config.durability,
            "capabilities": msgspec.to_builtins(engine.capabilities),
            "limits": limits
            | {"max_arguments": config.max_payload, "max_result": config.max_result},
            "retention": msgspec.structs.asdict(config.retention or Retention()),
            "idempotency": settings.idempotency,
        }
        return Response(encode(content), 200, {"Cache-Control": "no-store"}, MEDIA_TYPE)

    async def _tasks(self, request: Request) -> Response:
        """Tell which tasks the caller may call."""
        caller = await self._desk.caller(request, "jobs:submit")
        base = request.scope.get("root_path", "")
        known = sorted(self._desk.app.registry, key=lambda task: task.name)
        tasks = [
            {
                "task": task.name,
                "queue": task.options.queue,
                "description": _first_line(task.function.__doc__),
                "links": {"call": f"{base}/v1/tasks/{task.name}"},
            }
            for task in known
            if caller.uses(task.options.queue)
        ]
        return Response(encode({"tasks": tasks}), 200, media_type=MEDIA_TYPE)


def _first_line(text: str | None) -> str | None:
    lines = (text or "").strip().splitlines()
    return lines[0].strip() if lines else None
