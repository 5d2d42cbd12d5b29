"""Talk: what a client says to a gateway, without saying how it gets there.

Each method returns a plan, which a blocking and an awaiting client run alike. What may be sent
twice is sent again when there is no answer, or when the gateway asks for patience: submits carry
an Idempotency-Key, so that they take effect once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from headrace.client.exchange import Answer, Pause, Plan, Request
from headrace.client.refusal import refusal, waiting
from headrace.client.snapshot import Page, Snapshot
from headrace.client.stream import Stream
from headrace.clock import Clock
from headrace.errors import GatewayError, JobCancelled, JobDead, ResultTimeout
from headrace.ids import Ids
from headrace.record import State

T = TypeVar("T")

_AGAIN = frozenset({0, 408, 429, 502, 503, 504})
_IN_PROGRESS = b"idempotency-in-progress"
_CONFLICT = 409
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_LONGEST_POLL = 25.0
_JSON = {"Content-Type": "application/json"}


class Talk:
    """Makes plans.

    Args:
        clock: tells how long something took.
        ids: names requests, and spreads pauses.
        patience: seconds that something is tried for.
    """

    def __init__(self, clock: Clock, ids: Ids, patience: float) -> None:
        self._clock = clock
        self._ids = ids
        self._patience = patience

    def submit(
        self, task: str, arguments: Mapping[str, Any], options: Mapping[str, Any], key: str | None
    ) -> Plan[Snapshot]:
        """Hand one call over."""
        call = {"task": task, "arguments": arguments, "options": options}
        answer = yield from self._post("/v1/jobs", call, key)
        return _told(answer, Snapshot)

    def submit_many(
        self, calls: Sequence[Mapping[str, Any]], key: str | None
    ) -> Plan[tuple[Snapshot, ...]]:
        """Hand many calls over, all or none."""
        answer = yield from self._post("/v1/jobs/batch", {"jobs": calls}, key)
        return _told(answer, Page).jobs

    def job(self, job_id: str, wait: float | None = None) -> Plan[Snapshot]:
        """Ask for a job, if wished only when it is finished or so many seconds have passed."""
        query = () if wait is None else (("wait", f"{wait:g}"),)
        patience = self._patience + (wait or 0.0)
        request = Request(method="GET", path=_path(job_id), query=query, patience=patience)
        answer = yield from self._ask(request)
        return _told(answer, Snapshot)

    def wait(self, job_id: str, timeout: float | None) -> Plan[Snapshot]:
        """Ask for a job by long polls until it is finished."""
        end = None if timeout is None else self._clock.monotonic() + timeout
        while True:
            left = _LONGEST_POLL if end is None else max(end - self._clock.monotonic(), 0.0)
            job = yield from self.job(job_id, min(left, _LONGEST_POLL))
            if job.state.terminal:
                return job
            if end is not None and self._clock.monotonic() >= end:
                text = f"job {job_id} is not finished after {timeout} s: it is {job.state}"
                raise ResultTimeout(text, job_id, job.state)

    def result(self, job_id: str, timeout: float | None) -> Plan[Any]:
        """Wait for a job, and return what it returned."""
        job = yield from self.wait(job_id, timeout)
        if job.state is not State.SUCCEEDED:
            raise _failed(job)
        if job.result is not None:
            return job.result
        answer = yield from self._ask(Request(method="GET", path=f"{_path(job_id)}/result"))
        return _told(answer, object)

    def change(self, job_id: str, verb: str) -> Plan[Snapshot]:
        """Cancel or retry a job."""
        request = Request(method="POST", path=f"{_path(job_id)}/{verb}")
        answer = yield from self._ask(request)
        return _told(answer, Snapshot)

    def page(self, where: Mapping[str, Any], token: str | None) -> Plan[Page]:
        """Ask for a part of a list of jobs."""
        query = tuple((name, value) for name, given in where.items() for value in _texts(given))
        if token is not None:
            query += (("page_token", token),)
        answer = yield from self._ask(Request(method="GET", path="/v1/jobs", query=query))
        return _told(answer, Page)

    def events(self, job_id: str) -> Stream:
        """Return the stream of a job's events."""
        path = f"{_path(job_id)}/events"
        return Stream(path, self._clock, self._patience, self._pause)

    def _pause(self, answer: Answer, before: float) -> float:
        """Return the seconds until something is tried again: what was asked for, or jitter."""
        asked = waiting(answer)
        spread = _SHORTEST_PAUSE + self._ids.fraction() * max(3 * before - _SHORTEST_PAUSE, 0.0)
        return min(asked if asked is not None else spread, _LONGEST_PAUSE)

    def _post(self, path: str, content: object, key: str | None) -> Plan[Answer]:
        headers = _JSON | {"Idempotency-Key": f'"{key or self._ids.job_id()}"'}
        body = msgspec.json.encode(content)
        request = Request(method="POST", path=path, headers=headers, body=body)
        return (yield from self._ask(request))

    def _ask(self, request: Request) -> Plan[Answer]:
        end = self._clock.monotonic() + self._patience
        pause = _SHORTEST_PAUSE
        while True:
            answer: Answer = yield request
            if answer.fine:
                return answer
            pause = self._pause(answer, pause)
            too_late = self._clock.monotonic() + pause > end
            if too_late or not (request.again and _asks_again(answer)):
                raise refusal(answer)
            yield Pause(pause)


def _told(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError as error:
        text = f"the gateway's answer is not understood: {error}; is its version another one?"
        raise GatewayError(text, answer.status, "not-understood") from None


def _asks_again(answer: Answer) -> bool:
    in_progress = answer.status == _CONFLICT and _IN_PROGRESS in answer.body
    return answer.status in _AGAIN or in_progress


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _texts(given: Any) -> tuple[str, ...]:
    many = isinstance(given, Sequence) and not isinstance(given, str)
    return tuple(map(str, given)) if many else (str(given),)


def _failed(job: Snapshot) -> JobDead | JobCancelled:
    failure = job.failure
    cause = failure.cause if failure is not None else "cancelled"
    words = (failure.type, failure.message) if failure is not None else ()
    details = ": ".join(filter(None, (cause, *words)))
    kind = JobDead if job.state is State.DEAD else JobCancelled
    return kind(f"job {job.id} ({job.task}) is {job.state} ({details})", job.id, cause)
