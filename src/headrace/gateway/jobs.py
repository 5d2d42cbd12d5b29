"""Jobs: what became of them, for whoever asks or waits; and cancel and retry."""

from __future__ import annotations

import asyncio
import contextlib
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.caller import Caller
from headrace.gateway.conditional import answer, is_known, known_to
from headrace.gateway.desk import Desk
from headrace.gateway.handover.prefer import preferences
from headrace.gateway.portrait import MEDIA_TYPE, etag, failure_of, moment
from headrace.gateway.problem import Problem, invalid_query, retry_after
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.lookout import Lookout
from headrace.gateway.watching.sight import Sight
from headrace.job import progress_key, read_progress
from headrace.record import Record, State
from headrace.write import CancelJobs, RetryJobs

_AGE_SHARE = 0.1
_LONGEST_POLL = 30.0
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_PRIVATE = {"Cache-Control": "no-cache, private"}


class Jobs:
    """Tells of jobs, and changes them.

    Args:
        desk: serves.
        feed: tells when one changes.
    """

    def __init__(self, desk: Desk, feed: Feed) -> None:
        self._desk = desk
        self._feed = feed
        self.routes = [
            Route("/v1/jobs/{job}", self._show, methods=["GET"]),
            Route("/v1/jobs/{job}/result", self._result, methods=["GET"]),
            Route("/v1/jobs/{job}/cancel", self._cancel, methods=["POST"]),
            Route("/v1/jobs/{job}/retry", self._retry, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        """Tell of one job: always 200 for a known one, whatever became of it.

        With `?wait=N` or `Prefer: wait=N` (RFC 7240 §4.3) it is told when it is another one than
        the client has, or has ended if it has none, or N seconds later.
        """
        caller = await self._desk.caller(request, "jobs:read")
        seconds, applied = self._patience(request)
        sight = await self._sight(caller, request.path_params["job"])
        known = known_to(request)
        if seconds and not _is_awaited(sight, known, _base(request)):
            sight = await self._await(request, sight, known, seconds)
        headers = {"ETag": sight.etag(_base(request)), "Vary": "Prefer", **_PRIVATE}
        if applied:
            headers["Preference-Applied"] = applied
        if not sight.ended:
            headers |= self._retry_after(sight.record)
        return answer(sight.body(_base(request)), MEDIA_TYPE, known, headers)

    async def _result(self, request: Request) -> Response:
        """Answer what a job returned, as it is: nothing around it."""
        caller = await self._desk.caller(request, "jobs:read")
        record = await self._desk.record(caller, request.path_params["job"])
        self._check_result(record)
        body = bytes(record.result) if record.result is not None else b"null"
        headers = {"ETag": etag(body), **_PRIVATE}
        return answer(body, MEDIA_TYPE, known_to(request), headers)

    async def _cancel(self, request: Request) -> Response:
        """Cancel a job that waits, or ask its worker to if it runs."""
        caller = await self._desk.caller(request, "jobs:write")
        record = await self._desk.record(caller, request.path_params["job"])
        engine = await self._desk.engine()
        changed = await self._desk.answer(engine.apply(CancelJobs((record.id,))))
        state = changed.states.get(record.id, record.state)
        if record.id not in changed.changed and state.terminal:
            raise Problem("job-terminal", f"the job is {state}: it has ended", state=state)
        return await self._accepted(request, caller, record.id)

    async def _retry(self, request: Request) -> Response:
        """Let a job that is scheduled be due now; put a dead one back."""
        caller = await self._desk.caller(request, "jobs:write")
        record = await self._desk.record(caller, request.path_params["job"])
        engine = await self._desk.engine()
        changed = await self._desk.answer(engine.apply(RetryJobs((record.id,))))
        if record.id not in changed.changed:
            state = changed.states.get(record.id, record.state)
            kind = "job-terminal" if state.terminal else "conflict"
            detail = f"the job is {state}: only a scheduled or dead one can be tried again"
            raise Problem(kind, detail, state=state)
        return await self._accepted(request, caller, record.id)

    async def _accepted(self, request: Request, caller: Caller, job_id: str) -> Response:
        sight, base = await self._sight(caller, job_id), _base(request)
        headers = {"Location": f"{base}/v1/jobs/{job_id}", "ETag": sight.etag(base)}
        if not sight.ended:
            headers |= self._retry_after(sight.record)
        return Response(sight.body(base), 202, headers, MEDIA_TYPE)

    async def _sight(self, caller: Caller, job_id: str) -> Sight:
        at = self._desk.app.clock.now()
        record = await self._desk.record(caller, job_id)
        progress, key = None, progress_key(job_id)
        if record.state is State.RUNNING:
            entries = await self._desk.answer((await self._desk.engine()).load([key]))
            progress = next(map(read_progress, entries.values()), None)
        return Sight(record, progress, self._desk.settings.inline_result, at)

    async def _await(
        self, request: Request, sight: Sight, known: frozenset[str], seconds: float
    ) -> Sight:
        """Wait until a job is as its client wants to have it; return how it was seen last."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        with Lookout(self._feed, sight.record.id) as lookout:
            staying = asyncio.ensure_future(lookout.stay(request))
            try:
                while (left := until - loop.time()) > 0 and await lookout.look(left):
                    if lookout.gone:
                        raise Problem("not-found", "the job is no longer kept")
                    sight = lookout.sight or sight
                    if lookout.stopped or _is_awaited(sight, known, _base(request)):
                        break
            finally:
                staying.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await staying
        return sight

    def _patience(self, request: Request) -> tuple[float, str]:
        """Return how long a client would wait, and which preference that obeys."""
        settings = self._desk.settings
        wish = preferences(request.headers.getlist("prefer")).wait
        if (text := request.query_params.get("wait")) is None:
            if not wish:
                return 0.0, ""
            seconds = min(float(wish), settings.wait_limit)
            return seconds, f"wait={seconds:g}"
        if text and not _SECONDS.fullmatch(text):
            raise invalid_query([("wait", f"{text!r:.50}: must be seconds, such as 25")])
        return min(float(text or settings.wait_default), settings.wait_limit), ""

    def _retry_after(self, record: Record) -> dict[str, str]:
        """Return when to ask again: the older a job is, the less a second matters."""
        now = self._desk.app.clock.now()
        due = (record.run_at or now) - now
        age = now - record.accepted_at
        return retry_after(min(max(due, _AGE_SHARE * age), _LONGEST_POLL))

    def _check_result(self, record: Record) -> None:
        """Refuse to answer a result that is not there.

        Raises:
            Problem: the job has not ended or failed (409), or its retention time is over (410).
        """
        state = record.state
        if not state.terminal:
            headers = self._retry_after(record)
            raise Problem("job-not-finished", f"the job is {state}", headers, state=state)
        if record.kept_until is not None and record.kept_until <= self._desk.app.clock.now():
            until = moment(record.kept_until)
            raise Problem("expired", f"it was kept until {until}", kept_until=until)
        if state is not State.SUCCEEDED:
            failure = failure_of(record)
            raise Problem("job-failed", f"the job is {state}", state=state, failure=failure)


def _is_awaited(sight: Sight, known: frozenset[str], base: str) -> bool:
    return not is_known(sight.etag(base), known) if known else sight.ended


def _base(request: Request) -> str:
    """Return where the gateway is mounted (ASGI's `root_path`)."""
    return str(request.scope.get("root_path", ""))
