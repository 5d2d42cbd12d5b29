"""Batch: many calls in one request: a JSON document, or JSON lines, read as they arrive."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Raw
from starlette.requests import Request

from headrace.errors import HeadraceError
from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk
from headrace.gateway.handover import document
from headrace.gateway.handover.body import Head, lines, whole
from headrace.gateway.handover.draft import Draft, ordered
from headrace.gateway.handover.options import explain
from headrace.gateway.problem import Problem, invalid, of
from headrace.json_form import pointer

_SHORTEST_MEMBER = len(b'"":0,')
_UNPROCESSABLE = 422


class _Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    jobs: list[Raw]


class Batch:
    """The calls of one request, as far as they are read.

    Args:
        desk: has the tasks and the limits.
        caller: who sends them.
        keyed: whether what they say is needed for a fingerprint.

    Attributes:
        values: what they say, if it is needed.
    """

    def __init__(self, desk: Desk, caller: Caller, *, keyed: bool) -> None:
        self.values: list[Any] = []
        self._desk = desk
        self._caller = caller
        self._keyed = keyed
        self._drafts: list[Draft] = []
        self._count = 0
        self._errors: list[dict[str, Any]] = []

    async def read(self, request: Request, head: Head) -> None:
        """Read a batch that is one JSON object.

        Raises:
            Problem: it is none (400), or is too large (413).
        """
        settings = self._desk.settings
        text = await whole(request, head, settings)
        value = document.read(text, settings, settings.max_batch)
        try:
            jobs = msgspec.json.decode(text, type=_Listed).jobs
        except msgspec.ValidationError as error:
            names = _Listed.__struct_fields__
            raise invalid([(pointer(error), explain(error, names))]) from None
        for index, job in enumerate(jobs):
            if len(bytes(job)) > _SHORTEST_MEMBER * settings.max_keys:
                document.read(job, settings)  # so large that it may have too many members
            self._add(job, f"/jobs/{index}")
        if self._keyed:
            self.values.append(value)

    async def read_lines(self, request: Request, head: Head) -> None:
        """Read a batch of JSON lines.

        Raises:
            Problem: one of them is no JSON (400), or is too large (413).
        """
        settings = self._desk.settings
        async with aclosing(lines(request, head, settings)) as arriving:
            async for line in arriving:
                try:
                    value = document.read(line, settings)
                except Problem as problem:
                    raise self._placed(problem) from None
                self._add(line, "")
                if self._keyed:
                    self.values.append(value)

    def drafts(self) -> list[Draft]:
        """Return the drafts of all calls.

        Raises:
            Problem: some do not fit (422): it tells which; or there are none (422).
        """
        if not self._count:
            raise invalid([("/jobs", "a batch has at least one job")])
        if self._errors:
            detail = f"{len(self._errors)} of {self._count} jobs do not fit; none was accepted"
            raise Problem("validation-failed", detail, errors=self._errors)
        return self._drafts

    def _add(self, text: bytes | Raw, place: str) -> None:
        limit = self._desk.settings.max_batch
        if self._count == limit:
            detail = f"a batch has {limit} jobs at most; send several, each with a key of its own"
            raise Problem("payload-too-large", detail, limit=limit)
        try:
            self._drafts.append(ordered(self._desk.app, text, self._caller, place))
        except Problem as problem:
            if problem.status != _UNPROCESSABLE:
                raise self._placed(problem) from None
            errors = problem.members["errors"]
            self._errors += [{"index": self._count, **error} for error in errors]
        except HeadraceError as error:
            raise self._placed(of(error)) from None
        self._count += 1

    def _placed(self, problem: Problem) -> Problem:
        problem.members["index"] = self._count
        return problem
