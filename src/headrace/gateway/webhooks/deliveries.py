"""Deliveries: what became of webhooks, for whoever has registered them; and once more, please."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk
from headrace.gateway.handover import document
from headrace.gateway.handover.body import JSON, media_type, whole
from headrace.gateway.handover.options import explain
from headrace.gateway.portrait import MEDIA_TYPE, encode, moment
from headrace.gateway.problem import Problem, invalid, retry_after
from headrace.gateway.webhooks.endpoints import find
from headrace.json_form import pointer
from headrace.record import Failure, Filter, Record, State
from headrace.webhooks.envelope import ENDPOINT_TAG, JOB_TAG, QUEUE, TASK, content, envelope
from headrace.write import RetryJobs, Send

_SCOPE = "webhooks"
_PAGE_SIZE = 50
_PAGE_SIZE_LIMIT = 500
_RANGE_LIMIT = 1000
_NAMES = ("endpoint", "job", "state", "page_size", "page_token")
_STATUS = re.compile(r"HTTP ([0-9]{3})")
_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)
_ONE = "/v1/webhooks/deliveries/{delivery}"

Moment = Annotated[datetime, Meta(tz=True)]


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries are made again.

    Attributes:
        since: those that were begun then, or later.
        until: those that were begun before; None: until now.
    """

    since: Moment
    until: Moment | None = None


class Deliveries:
    """Tells of deliveries, and makes them again.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/v1/webhooks/deliveries", self._list, methods=["GET"]),
            Route(_ONE, self._show, methods=["GET"]),
            Route(f"{_ONE}/redeliver", self._redeliver, methods=["POST"]),
            Route(
                "/v1/webhooks/endpoints/{endpoint}/redeliver",
                self._redeliver_range,
                methods=["POST"],
            ),
        ]

    async def _list(self, request: Request) -> Response:
        """List deliveries of an endpoint, or about a job, newest first."""
        caller = await self._desk.caller(request, _SCOPE)
        where = await self._filter(request, caller)
        text = request.query_params.get("page_size", "") or str(_PAGE_SIZE)
        if not _NUMBER.fullmatch(text) or int(text) == 0:
            raise _unfit("page_size", f"{text!r:.50}: must be a whole number from 1 on")
        cursor = request.query_params.get("page_token") or None
        engine = await self._desk.engine()
        size = min(int(text), _PAGE_SIZE_LIMIT)
        page = await self._desk.answer(engine.find(where, limit=size, cursor=cursor))
        base = request.scope["root_path"]
        listed = [_told(record, base) for record in page.records]
        return _response({"deliveries": listed, "next_page_token": page.cursor}, 200)

    async def _show(self, request: Request) -> Response:
        """Tell of one delivery."""
        record = await self._found(request)
        return _response(_told(record, request.scope["root_path"]), 200)

    async def _redeliver(self, request: Request) -> Response:
        """Make a delivery again: the same event, with the same `webhook-id`."""
        record = await self._found(request)
        engine, ids = await self._desk.engine(), self._desk.app.ids
        delivery = record.id
        if record.state in (State.DEAD, State.SCHEDULED):
            await self._desk.answer(engine.apply(RetryJobs((delivery,))))
        elif record.state.terminal:
            delivery, old = ids.job_id(), record.message
            again = envelope(content(old), delivery, old.tags, old.trace)
            await self._desk.answer(engine.apply(Send((again,))))
        else:
            raise Problem("conflict", "the delivery is under way")
        place = f"{request.scope['root_path']}/v1/webhooks/deliveries/{delivery}"
        return _response({"id": delivery}, 202, {"Location": place} | retry_after(1))

    async def _redeliver_range(self, request: Request) -> Response:
        """Make the deliveries to an endpoint again that were given up, of a stretch of time."""
        caller = await self._desk.caller(request, _SCOPE)
        endpoint, _ = await find(self._desk, caller, request.path_params["endpoint"])
        wanted = await self._range(request)
        chosen = await self._given_up(endpoint.id, wanted)
        if chosen:
            engine = await self._desk.engine()
            await self._desk.answer(engine.apply(RetryJobs(tuple(chosen[:_RANGE_LIMIT]))))
        told = {
            "redelivered": min(len(chosen), _RANGE_LIMIT),
            "more": len(chosen) > _RANGE_LIMIT,
        }
        return _response(told, 202)

    async def _given_up(self, endpoint_id: str, wanted: Range) -> list[str]:
        """Return the dead deliveries of a stretch of time; of many, a few more than are taken."""
        engine = await self._desk.engine()
        where = _deliveries(f"{ENDPOINT_TAG}{endpoint_id}", states=(State.DEAD,))
        found: list[str] = []
        cursor: str | None = None
        while len(found) <= _RANGE_LIMIT:
            reply = engine.find(where, limit=_PAGE_SIZE_LIMIT, cursor=cursor)
            page = await self._desk.answer(reply)
            found += [record.id for record in page.records if _within(record, wanted)]
            cursor = page.cursor
            if cursor is None:
                break
        return found

    async def _filter(self, request: Request, caller: Caller) -> Filter:
        query = request.query_params
        for name in query:
            if name not in _NAMES:
                raise _unfit(name, f"unknown; there are {', '.join(_NAMES)}")
        tags: tuple[str, ...] = () if caller.tenant is None else (caller.tag,)
        if endpoint := query.get("endpoint"):
            await find(self._desk, caller, endpoint)
            tags += (f"{ENDPOINT_TAG}{endpoint}",)
        if job := query.get("job"):
            await self._desk.record(caller, job)
            tags += (f"{JOB_TAG}{job}",)
        if caller.queues and not (endpoint or job):
            raise Problem("forbidden", "this key knows some queues only: name an endpoint or a job")
        state = query.get("state")
        if state is not None and state not in tuple(State):
            raise _unfit("state", f"{state!r:.50}: there are {', '.join(State)}")
        return _deliveries(*tags, states=() if state is None else (State(state),))

    async def _found(self, request: Request) -> Record:
        """Return the delivery that a request is about.

        Raises:
            Problem: it is not there, or somebody else's (404).
        """
        caller = await self._desk.caller(request, _SCOPE)
        engine, name = await self._desk.engine(), request.path_params["delivery"]
        record = (await self._desk.answer(engine.get([name]))).get(name)
        if record is None or record.message.task != TASK or not caller.owns(record.message.tags):
            raise Problem("not-found", "there is no such delivery, or it is no longer kept")
        if caller.queues:
            endpoint, job = _about(record, ENDPOINT_TAG), _about(record, JOB_TAG)
            if endpoint is not None:
                await find(self._desk, caller, endpoint)
            else:
                await self._desk.record(caller, job or "")
        return record

    async def _range(self, request: Request) -> Range:
        head = dict(request.scope["headers"])
        media_type(head, JSON)
        settings = self._desk.settings
        given = document.read(await whole(request, head, settings), settings)
        try:
            return msgspec.convert(given, Range)
        except msgspec.ValidationError as error:
            names = Range.__struct_fields__
            raise invalid([(pointer(error), explain(error, names))]) from None


def _deliveries(*tags: str, states: tuple[State, ...] = ()) -> Filter:
    return Filter(queues=(QUEUE,), tasks=(TASK,), tags=tags, states=states)


def _within(record: Record, wanted: Range) -> bool:
    until = wanted.until
    return wanted.since.timestamp() <= record.accepted_at and (
        until is None or record.accepted_at < until.timestamp()
    )


def _told(record: Record, base: str) -> dict[str, Any]:
    """Return a delivery as its owner sees it; of the receiver's answer, only the status."""
    what, event = content(record.message), _event_of(record)
    place = f"{base}/v1/webhooks/deliveries/{record.id}"
    return {
        "id": record.id,
        "event": what.event,
        "type": event,
        "endpoint": what.endpoint,
        "url": what.url,
        "job": _about(record, JOB_TAG),
        "state": record.state,
        "attempt": record.attempt,
        "status": _status(record),
        "reason": record.failure.message if record.failure is not None else None,
        "accepted_at": moment(record.accepted_at),
        "next_try": moment(record.run_at) if record.state is State.SCHEDULED else None,
        "finished_at": moment(record.finished_at),
        "history": [
            {
                "number": attempt.number,
                "ended_at": moment(attempt.ended_at),
                "status": _status_in(attempt.failure),
                "reason": attempt.failure.message,
            }
            for attempt in record.history
            if attempt.counted
        ],
        "links": {"self": place, "redeliver": f"{place}/redeliver"},
    }


def _event_of(record: Record) -> str:
    kind: str = json.loads(content(record.message).body)["type"]
    return kind


def _status(record: Record) -> int | None:
    if record.result is not None:
        status: int = json.loads(bytes(record.result))["status"]
        return status
    return _status_in(record.failure)


def _status_in(failure: Failure | None) -> int | None:
    found = None if failure is None else _STATUS.match(failure.message)
    return int(found[1]) if found else None


def _about(record: Record, prefix: str) -> str | None:
    tags = (tag for tag in record.message.tags if tag.startswith(prefix))
    return next((tag.removeprefix(prefix) for tag in tags), None)


def _unfit(name: str, detail: str) -> Problem:
    return Problem("validation-failed", detail, errors=[{"parameter": name, "detail": detail}])


def _response(content: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(content), status, headers, MEDIA_TYPE)
