"""Queues: what waits in them, pausing, and what an autoscaler needs to know."""

from __future__ import annotations

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.desk import Desk, permit
from headrace.gateway.portrait import MEDIA_TYPE, encode
from headrace.gateway.problem import Problem, invalid
from headrace.message import check_name
from headrace.record import QueueStatus
from headrace.write import PauseQueue

_SLOTS_LIMIT = 100_000


class Queues:
    """Tells of queues, and pauses them.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/v1/queues", self._list, methods=["GET"]),
            Route("/v1/queues/{queue}", self._show, methods=["GET"]),
            Route("/v1/queues/{queue}/pause", self._pause, methods=["POST"]),
            Route("/v1/queues/{queue}/resume", self._resume, methods=["POST"]),
            Route("/v1/autoscale/{queue}", self._autoscale, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        """Tell of all queues that the caller may see, by name."""
        caller = await self._desk.caller(request, "queues:read")
        engine = await self._desk.engine()
        found = {status.name: status for status in await self._desk.answer(engine.depth())}
        shown = [
            (found.get(name) or QueueStatus(name=name)).as_dict()
            for name in sorted(self._declared() | found.keys())
            if caller.uses(name)
        ]
        return _answer({"queues": shown})

    async def _show(self, request: Request) -> Response:
        """Tell of one queue."""
        return _answer((await self._status(request, "queues:read")).as_dict())

    async def _pause(self, request: Request) -> Response:
        """Let workers take nothing more from a queue; what runs goes on."""
        return await self._set(request, paused=True)

    async def _resume(self, request: Request) -> Response:
        """Let workers take jobs from a queue again."""
        return await self._set(request, paused=False)

    async def _set(self, request: Request, *, paused: bool) -> Response:
        status = await self._status(request, "queues:write")
        engine = await self._desk.engine()
        await self._desk.answer(engine.apply(PauseQueue(status.name, paused)))
        (status,) = await self._desk.answer(engine.depth([status.name]))
        return _answer(status.as_dict())

    async def _autoscale(self, request: Request) -> Response:
        """Tell how much there is to do, as KEDA's scaler `metrics-api` reads it.

        The backlog counts what runs, too: else a scaler would end workers at their last jobs. What
        nobody may take, in a paused queue, does not count. A queue without jobs is no error, since
        scalers ask before there are any.
        """
        caller = await self._desk.caller(request, "queues:read")
        queue = check_name("queue", request.path_params["queue"])
        permit(caller, "queues:read", queue)
        slots = self._slots(request)
        engine = await self._desk.engine()
        (status,) = await self._desk.answer(engine.depth([queue]))
        backlog = status.running + (0 if status.paused else status.ready)
        content = {
            "queue": queue,
            "backlog": backlog,
            "ready": status.ready,
            "in_flight": status.running,
            "rate": status.drain_rate,
            "recommended": math.ceil(backlog / slots),
        }
        return _answer(content)

    def _slots(self, request: Request) -> int:
        """Return how many jobs one worker process runs at a time: `?slots=`, or the settings'."""
        text = request.query_params.get("slots", str(self._desk.app.config.threads))
        slots = int(text) if text.isascii() and text.isdigit() and len(text) < len("1000000") else 0
        if not 1 <= slots <= _SLOTS_LIMIT:
            raise invalid([("/slots", f"slots is a whole number from 1 to {_SLOTS_LIMIT}")])
        return slots

    async def _status(self, request: Request, scope: str) -> QueueStatus:
        """Return how a queue does that the caller may see; one of a misspelt name is not made."""
        caller = await self._desk.caller(request, scope)
        name = request.path_params["queue"]
        engine = await self._desk.engine()
        (status,) = await self._desk.answer(engine.depth([name]))
        known = name in self._declared() or status != QueueStatus(name=name)
        if not known or not caller.uses(name):
            raise Problem("not-found", f"there is no queue {name}")
        return status

    def _declared(self) -> set[str]:
        return {task.options.queue for task in self._desk.app.registry}


def _answer(content: dict[str, Any]) -> Response:
    return Response(encode(content), 200, {"Cache-Control": "no-store"}, MEDIA_TYPE)
