"""Listing: jobs by state, queue, task, tag and cause, newest first, a page at a time."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from hashlib import blake2b
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.caller import RESERVED_TAGS, Caller
from headrace.gateway.desk import Desk
from headrace.gateway.portrait import MEDIA_TYPE, encode, outline
from headrace.gateway.problem import invalid_query
from headrace.record import Cause, Filter, State

PAGE_SIZE = 50
PAGE_SIZE_LIMIT = 500

_MARK_BYTES = 12
_NAMES = ("state", "queue", "task", "tag", "cause", "page_size", "page_token")
_REPEATABLE = ("state", "queue", "task", "tag")
_VALUES_LIMIT = 32
_NUMBER = re.compile(r"[0-9]{1,9}")


class Listing:
    """Lists jobs.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/v1/jobs", self._list, methods=["GET"])]

    async def _list(self, request: Request) -> Response:
        """List the caller's jobs: those of its tenant, in its queues."""
        caller = await self._desk.caller(request, "jobs:read")
        wanted = _filter(request)
        size = _page_size(request)
        cursor = _cursor(request.query_params.get("page_token", ""), wanted, caller)
        where = await self._narrowed(wanted, caller)
        content: dict[str, Any] = {"jobs": [], "next_page_token": None}
        if where is not None:
            engine = await self._desk.engine()
            page = await self._desk.answer(engine.find(where, limit=size, cursor=cursor))
            base = str(request.scope.get("root_path", ""))
            content["jobs"] = [outline(record, base) for record in page.records]
            if page.cursor is not None:
                content["next_page_token"] = _page_token(page.cursor, wanted, caller)
        headers = {"Cache-Control": "no-cache, private"}
        return Response(encode(content), 200, headers, MEDIA_TYPE)

    async def _narrowed(self, wanted: Filter, caller: Caller) -> Filter | None:
        """Return the filter of what a caller may see; None if that is nothing."""
        tags = wanted.tags if caller.tenant is None else (*wanted.tags, caller.tag)
        queues = wanted.queues
        if caller.queues:
            if not queues:  # a filter has names, a key has patterns
                engine = await self._desk.engine()
                queues = tuple(q.name for q in await self._desk.answer(engine.depth()))
            queues = tuple(queue for queue in queues if caller.uses(queue))
            if not queues:
                return None
        return msgspec.structs.replace(wanted, tags=tags, queues=queues)


def _filter(request: Request) -> Filter:
    """Return the filter that the query asks for.

    Raises:
        Problem: a parameter is unknown, or its value is (422).
    """
    query = request.query_params
    errors = _misnamed(query)
    known: dict[str, Collection[str]] = {"state": tuple(State), "cause": tuple(Cause)}
    errors += [
        (name, f"{value!r:.50}: there are {', '.join(values)}")
        for name, values in known.items()
        for value in query.getlist(name)
        if value not in values
    ]
    tags = query.getlist("tag")
    errors += [
        ("tag", f"{tag!r:.50}: this prefix is reserved")
        for tag in tags
        if tag.startswith(RESERVED_TAGS)
    ]
    if errors:
        raise invalid_query(errors)
    return Filter(
        states=tuple(State(state) for state in query.getlist("state")),
        queues=tuple(query.getlist("queue")),
        tasks=tuple(query.getlist("task")),
        tags=tuple(tags),
        cause=query.get("cause"),
    )


def _misnamed(query: QueryParams) -> list[tuple[str, str]]:
    """Return the parameters that are unknown, or come too often, and what is wrong with each."""
    errors: list[tuple[str, str]] = []
    for name in query:
        most = _VALUES_LIMIT if name in _REPEATABLE else 1
        if name not in _NAMES:
            errors.append((name, f"unknown; there are {', '.join(_NAMES)}"))
        elif (times := len(query.getlist(name))) > most:
            errors.append((name, f"given {times} times; at most {most} are read"))
    return errors


def _page_size(request: Request) -> int:
    """Return how many jobs a page has; what is too many is what there may be at most."""
    text = request.query_params.get("page_size", "") or str(PAGE_SIZE)
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise invalid_query([("page_size", f"{text!r:.50}: must be a whole number from 1 on")])
    return min(int(text), PAGE_SIZE_LIMIT)


def _page_token(cursor: str, wanted: Filter, caller: Caller) -> str:
    """Return the token of a place in one list of one caller.

    Its mark finds mistakes: a token of another list. It need not keep anybody out: whatever place
    a token names, the list shows its caller only what it may see.
    """
    place = cursor.encode()
    return urlsafe_b64encode(_mark(place, wanted, caller) + place).decode().rstrip("=")


def _cursor(token: str, wanted: Filter, caller: Caller) -> str | None:
    if not token:
        return None
    try:
        text = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError:
        text = b""
    mark, place = text[:_MARK_BYTES], text[_MARK_BYTES:]
    if not place or mark != _mark(place, wanted, caller):
        detail = "this token belongs to no list of yours with this filter: begin without one"
        raise invalid_query([("page_token", detail)])
    return place.decode("utf-8", "replace")


def _mark(place: bytes, wanted: Filter, caller: Caller) -> bytes:
    whose = msgspec.json.encode([caller.name, caller.tenant, wanted])
    return blake2b(place, digest_size=_MARK_BYTES, key=blake2b(whose).digest()).digest()
