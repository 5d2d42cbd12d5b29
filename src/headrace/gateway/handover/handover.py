"""Handover: where work is handed over: it is accepted durably, and then answered with 202."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.desk import Desk
from headrace.gateway.handover import document
from headrace.gateway.handover.acceptance import Receipt, accept
from headrace.gateway.handover.batch import Batch
from headrace.gateway.handover.body import JSON, JSON_LINES, Head, media_type, whole
from headrace.gateway.handover.draft import Draft, called, chosen, ordered
from headrace.gateway.handover.endpoint import Endpoint, Field, Told
from headrace.gateway.handover.idempotency import KEY, Claim, InFlight, entry_of, fingerprint
from headrace.gateway.handover.options import Misfit, in_query
from headrace.gateway.handover.patience import finished
from headrace.gateway.handover.prefer import preferences
from headrace.gateway.portrait import accepted, etag, portrait
from headrace.gateway.problem import Problem

_SUBMIT = "jobs:submit"
_SOON = (b"retry-after", b"1")
_VARY = (b"vary", b"prefer")


class Handover:
    """Accepts calls of tasks.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._in_flight = InFlight()
        self.routes = [
            Route("/v1/tasks/{task}", Endpoint(self._call), methods=["POST"]),
            Route("/v1/jobs", Endpoint(self._order), methods=["POST"]),
            Route("/v1/jobs/batch", Endpoint(self._batch), methods=["POST"]),
        ]

    async def _call(self, request: Request) -> Response:
        """Accept one call: the body is its arguments, the query its options."""
        desk = self._desk
        caller = await desk.caller(request, _SUBMIT)
        task = desk.app.registry.get(request.path_params["task"])
        query = request.scope["query_string"]
        wishes = in_query(query) if query else None
        try:
            options = chosen(task, wishes, caller, desk.app)
        except Misfit as misfit:
            raise misfit.in_query() from None
        head: Head = dict(request.scope["headers"])
        entry = entry_of(request, caller) if KEY in head else None
        with self._in_flight.hold(entry):
            media_type(head, JSON)
            text = await whole(request, head, desk.settings)
            if len(text) > task.max_payload:
                with suppress(Problem):  # that it does not fit is told more precisely below
                    called(task, text)  # too large, most likely; to find out costs little
            value = document.read(text, desk.settings)
            draft = Draft(called(task, text), options, caller)
            receipt = await accept(desk, [draft], self._claim(request, entry, JSON, value))
        return await self._answer(request, head, receipt)

    async def _order(self, request: Request) -> Response:
        """Accept one call: the body names the task, its arguments and its options."""
        desk = self._desk
        caller = await desk.caller(request, _SUBMIT)
        in_query(request.scope["query_string"], names=())
        head: Head = dict(request.scope["headers"])
        entry = entry_of(request, caller) if KEY in head else None
        with self._in_flight.hold(entry):
            media_type(head, JSON)
            text = await whole(request, head, desk.settings)
            value = document.read(text, desk.settings)
            draft = ordered(desk.app, text, caller)
            receipt = await accept(desk, [draft], self._claim(request, entry, JSON, value))
        return await self._answer(request, head, receipt)

    async def _batch(self, request: Request) -> Response:
        """Accept many calls: all of them, or none."""
        desk = self._desk
        caller = await desk.caller(request, _SUBMIT)
        in_query(request.scope["query_string"], names=())
        head: Head = dict(request.scope["headers"])
        entry = entry_of(request, caller) if KEY in head else None
        with self._in_flight.hold(entry):
            kind = media_type(head, JSON, *JSON_LINES)
            batch = Batch(desk, caller, keyed=entry is not None)
            await (batch.read(request, head) if kind == JSON else batch.read_lines(request, head))
            claim = self._claim(request, entry, kind, batch.values)
            receipt = await accept(desk, batch.drafts(), claim)
        return await self._answer_batch(receipt, request.scope.get("root_path", ""))

    def _claim(self, request: Request, entry: str | None, kind: str, value: object) -> Claim | None:
        if entry is None:
            return None
        mark = fingerprint(request, kind, document.canonical(value))
        return Claim(entry, mark, self._desk.settings.idempotency)

    async def _answer(self, request: Request, head: Head, receipt: Receipt) -> Response:
        """Tell of one job: as it is, or what became of it if the client would rather wait."""
        desk, job = self._desk, receipt.jobs[0]
        base = request.scope.get("root_path", "")
        location = f"{base}/v1/jobs/{job}".encode()
        fields = [(b"location", location), _VARY, *_replayed(receipt)]
        if b"prefer" in head:
            wishes = preferences(request.headers.getlist("prefer"))
            if wishes.wait:
                seconds = min(wishes.wait, desk.settings.wait_limit)
                if record := await finished(request, desk, job, seconds):
                    fields.append((b"preference-applied", b"wait=%d" % seconds))
                    told = portrait(record, None, desk.settings.inline_result, base)
                    return _told(told, 200, fields)
            if wishes.respond_async:
                fields.append((b"preference-applied", b"respond-async"))
        fields.append(_SOON)
        if receipt.replayed:
            return _told(await self._recalled(job, base), 202, fields)
        # Nobody else ever describes the job as it is now: its id tells this from all that follows.
        fields.append((b"etag", b'"%b"' % job.encode()))
        return Told(accepted(receipt.messages[0], desk.app.clock.now(), base), 202, fields)

    async def _answer_batch(self, receipt: Receipt, base: str) -> Response:
        """Tell of all jobs; one that is no longer kept has only its id."""
        desk = self._desk
        fields = [_SOON, *_replayed(receipt)]
        if not receipt.replayed:
            now = desk.app.clock.now()
            told = [accepted(message, now, base) for message in receipt.messages]
            return Told({"jobs": told}, 202, fields)
        records = await desk.answer((await desk.engine()).get(receipt.jobs))
        inline = desk.settings.inline_result
        jobs = [
            portrait(records[job], None, inline, base) if job in records else {"id": job}
            for job in receipt.jobs
        ]
        return Told({"jobs": jobs}, 202, fields)

    async def _recalled(self, job: str, base: str) -> dict[str, Any]:
        desk = self._desk
        record = (await desk.answer((await desk.engine()).get([job]))).get(job)
        if record is None:
            detail = f"this request was accepted before, as job {job}, which is no longer kept"
            raise Problem("expired", detail, job_id=job)
        return portrait(record, None, desk.settings.inline_result, base)


def _replayed(receipt: Receipt) -> list[Field]:
    return [(b"idempotent-replayed", b"true")] if receipt.replayed else []


def _told(content: object, status: int, fields: list[Field]) -> Response:
    told = Told(content, status, fields)
    told.raw_headers.append((b"etag", etag(bytes(told.body)).encode()))
    return told
