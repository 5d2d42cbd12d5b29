"""Handover: where work is handed over: it is accepted durably, and then answered with 202."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway import document
from headrace.gateway.acceptance import Receipt, accept
from headrace.gateway.batch import Batch
from headrace.gateway.body import JSON, JSON_LINES, media_type, whole
from headrace.gateway.desk import Desk
from headrace.gateway.draft import Draft, called, chosen, ordered
from headrace.gateway.idempotency import Claim, InFlight, entry_of, fingerprint
from headrace.gateway.options import Misfit, in_query
from headrace.gateway.patience import finished
from headrace.gateway.portrait import MEDIA_TYPE, accepted, encode, etag, portrait
from headrace.gateway.prefer import NONE, preferences
from headrace.gateway.problem import Problem, retry_after

_SUBMIT = "jobs:submit"
_POLL_SECONDS = 1


class Handover:
    """Accepts calls of tasks.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._in_flight = InFlight()
        self.routes = [
            Route("/v1/tasks/{task}", self._call, methods=["POST"]),
            Route("/v1/jobs", self._order, methods=["POST"]),
            Route("/v1/jobs/batch", self._batch, methods=["POST"]),
        ]

    async def _call(self, request: Request) -> Response:
        """Accept one call: the body is its arguments, the query its options."""
        desk = self._desk
        caller = await desk.caller(request, _SUBMIT)
        task = desk.app.registry.get(request.path_params["task"])
        query = request.scope["query_string"]
        try:
            wishes = in_query(query) if query else None
            options = chosen(task, wishes, caller, desk.app)
        except Misfit as misfit:
            raise misfit.in_query() from None
        entry = entry_of(request, caller)
        with self._in_flight.hold(entry):
            media_type(request, JSON)
            text = await whole(request, desk.settings)
            value = document.read(text, desk.settings)
            draft = Draft(called(task, text), options, caller)
            receipt = await accept(desk, [draft], self._claim(request, entry, JSON, value))
        return await self._answer(request, receipt)

    async def _order(self, request: Request) -> Response:
        """Accept one call: the body names the task, its arguments and its options."""
        desk = self._desk
        caller = await desk.caller(request, _SUBMIT)
        in_query(request.scope["query_string"], names=())
        entry = entry_of(request, caller)
        with self._in_flight.hold(entry):
            media_type(request, JSON)
            text = await whole(request, desk.settings)
            value = document.read(text, desk.settings)
            draft = ordered(desk.app, text, caller)
            receipt = await accept(desk, [draft], self._claim(request, entry, JSON, value))
        return await self._answer(request, receipt)

    async def _batch(self, request: Request) -> Response:
        """Accept many calls: all of them, or none."""
        desk = self._desk
        caller = await desk.caller(request, _SUBMIT)
        in_query(request.scope["query_string"], names=())
        entry = entry_of(request, caller)
        with self._in_flight.hold(entry):
            kind = media_type(request, JSON, *JSON_LINES)
            batch = Batch(desk, caller, keyed=entry is not None)
            await (batch.read(request) if kind == JSON else batch.read_lines(request))
            claim = self._claim(request, entry, kind, batch.values)
            receipt = await accept(desk, batch.drafts(), claim)
        return await self._answer_batch(receipt)

    def _claim(self, request: Request, entry: str | None, kind: str, value: object) -> Claim | None:
        if entry is None:
            return None
        mark = fingerprint(request, kind, document.canonical(value))
        return Claim(entry, mark, self._desk.settings.idempotency)

    async def _answer(self, request: Request, receipt: Receipt) -> Response:
        """Tell of one job: as it is, or what became of it if the client would rather wait."""
        desk, (job,) = self._desk, receipt.jobs
        headers = {"Vary": "Prefer", "Location": f"{request.scope['root_path']}/v1/jobs/{job}"}
        if receipt.replayed:
            headers["Idempotent-Replayed"] = "true"
        wishes = NONE
        if "prefer" in request.headers:
            wishes = preferences(request.headers.getlist("prefer"))
        if wishes.wait:
            seconds = min(wishes.wait, desk.settings.wait_limit)
            if record := await finished(request, desk, job, seconds):
                headers["Preference-Applied"] = f"wait={seconds:g}"
                told = portrait(record, None, desk.settings.inline_result)
                return _response(told, 200, headers)
        if wishes.respond_async:
            headers["Preference-Applied"] = "respond-async"
        headers |= retry_after(_POLL_SECONDS)
        if receipt.replayed:
            return _response(await self._recalled(job), 202, headers)
        return _response(accepted(receipt.messages[0], desk.app.clock.now()), 202, headers)

    async def _answer_batch(self, receipt: Receipt) -> Response:
        """Tell of all jobs; one that is no longer kept has only its id."""
        desk = self._desk
        headers = retry_after(_POLL_SECONDS)
        if not receipt.replayed:
            now = desk.app.clock.now()
            return _response({"jobs": [accepted(m, now) for m in receipt.messages]}, 202, headers)
        headers["Idempotent-Replayed"] = "true"
        records = await desk.answer((await desk.engine()).get(receipt.jobs))
        inline = desk.settings.inline_result
        told = [
            portrait(records[job], None, inline) if job in records else {"id": job}
            for job in receipt.jobs
        ]
        return _response({"jobs": told}, 202, headers)

    async def _recalled(self, job: str) -> dict[str, Any]:
        desk = self._desk
        record = (await desk.answer((await desk.engine()).get([job]))).get(job)
        if record is None:
            detail = f"this request was accepted before, as job {job}, which is no longer kept"
            raise Problem("expired", detail, job_id=job)
        return portrait(record, None, desk.settings.inline_result)


def _response(content: object, status: int, headers: dict[str, str]) -> Response:
    body = encode(content)
    return Response(body, status, headers | {"ETag": etag(body)}, MEDIA_TYPE)
