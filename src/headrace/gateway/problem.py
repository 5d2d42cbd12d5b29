"""Problem: what went wrong, as HTTP tells it: `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from headrace.errors import (
    Conflict,
    DuplicateJob,
    EngineError,
    HeadraceError,
    InvalidArguments,
    InvalidOption,
    JobNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    QueueFull,
    StorageFull,
    UnknownTask,
    Unsupported,
)

MEDIA_TYPE = "application/problem+json"

TITLES: dict[str, tuple[int, str]] = {
    "malformed-request": (400, "The request is malformed"),
    "unauthenticated": (401, "A valid API key is needed"),
    "forbidden": (403, "The key does not allow this"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The resource does not know this method"),
    "not-acceptable": (406, "The answer has no such form"),
    "request-timeout": (408, "The request took too long to arrive"),
    "conflict": (409, "It does not go with what is there"),
    "duplicate-job": (409, "A live job holds the unique key"),
    "idempotency-in-progress": (409, "A request with this Idempotency-Key is being handled"),
    "job-not-finished": (409, "The job is not finished"),
    "job-failed": (409, "The job ended without a result"),
    "job-terminal": (409, "The job has ended"),
    "expired": (410, "The result is no longer kept"),
    "precondition-failed": (412, "It is not what the request is about any more"),
    "payload-too-large": (413, "The request is too large"),
    "uri-too-long": (414, "The address is too long"),
    "unsupported-media-type": (415, "The body is of a type that is not read here"),
    "misdirected-request": (421, "This host is not served here"),
    "validation-failed": (422, "What was sent does not fit"),
    "unknown-task": (422, "No task of that name is registered"),
    "idempotency-key-reused": (422, "The Idempotency-Key was used for another request"),
    "quota-exceeded": (429, "The caller's quota is used up"),
    "headers-too-large": (431, "The header fields are too large"),
    "internal-error": (500, "Something unexpected happened"),
    "unsupported": (501, "This engine cannot do that"),
    "queue-full": (503, "The queue is full"),
    "temporary-reduced-capacity": (503, "The server has too much to do"),
    "draining": (503, "The server is about to stop"),
    "engine-unavailable": (503, "The storage is in trouble"),
    "outcome-unknown": (503, "It is not known whether this happened"),
    "storage-full": (507, "There is no space for new work"),
}
"""Every kind of problem, with its status and title; `GET /v1/problems/{kind}` tells them."""


_OWN = "/v1/problems/"
_REGISTERED = "https://iana.org/assignments/http-problem-types#"
_TAKEN = {"quota-exceeded", "temporary-reduced-capacity"}  # draft-ietf-httpapi-ratelimit-headers-10


def type_of(kind: str, base: str = "") -> str:
    """Return the URI of a kind of problem; `base` is where the gateway is mounted."""
    return f"{_REGISTERED if kind in _TAKEN else base + _OWN}{kind}"


class Problem(Exception):
    """A request that is answered with a problem.

    Args:
        kind: a key of `TITLES`, the last part of the problem's type.
        detail: what is wrong this time, and what to do.
        headers: further header fields of the answer.
        members: further members of the problem, such as `errors` with JSON Pointers.
    """

    def __init__(
        self,
        kind: str,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or kind)
        self.kind = kind
        self.status, self.title = TITLES[kind]
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    @property
    def content(self) -> dict[str, Any]:
        """The members of the problem, as RFC 9457 §3 names them."""
        problem = {"type": type_of(self.kind), "title": self.title, "status": self.status}
        return problem | ({"detail": self.detail} if self.detail else {}) | self.members

    def response(self, base: str = "") -> Response:
        """Return the answer; `base` is where the gateway is mounted."""
        body = msgspec.json.encode(self.content | {"type": type_of(self.kind, base)})
        return Response(body, self.status, self.headers, MEDIA_TYPE)


def retry_after(seconds: float) -> dict[str, str]:
    """Return the field that says when to come again, in whole seconds (RFC 9110 §10.2.3)."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def invalid(errors: Sequence[tuple[str, str]], kind: str = "validation-failed") -> Problem:
    """Return the problem of values that do not fit.

    Args:
        errors: for each a JSON Pointer (RFC 6901) into the request, and what is wrong there.
        kind: what kind of problem it is.
    """
    listed = [{"pointer": pointer, "detail": detail} for pointer, detail in errors]
    return Problem(kind, "; ".join(detail for _, detail in errors), errors=listed)


def invalid_query(errors: Sequence[tuple[str, str]]) -> Problem:
    """Return the problem of a query that does not fit: names of parameters, and what is wrong."""
    listed = [{"parameter": name, "detail": f"{name}: {detail}"} for name, detail in errors]
    return Problem("validation-failed", "; ".join(e["detail"] for e in listed), errors=listed)


def of(error: HeadraceError) -> Problem:
    """Return what an error is to an HTTP client; it never says more than the client may know."""
    kind = next((kind for family, kind in _KINDS.items() if isinstance(error, family)), _UNEXPECTED)
    if kind in _UNTOLD:  # their texts tell of the inside
        return Problem(kind, _UNTOLD[kind], retry_after(_LATER_SECONDS), **_members(error))
    seconds = _WAITS.get(kind) if not isinstance(error, QueueFull) else error.retry_after
    headers = retry_after(seconds) if seconds is not None else {}
    return Problem(kind, str(error), headers, **_members(error))


def _members(error: HeadraceError) -> dict[str, Any]:
    if isinstance(error, DuplicateJob):
        return {"job_id": error.job_id}
    if isinstance(error, QueueFull):
        return {"queue": error.queue}
    return {"job_ids": error.job_ids} if isinstance(error, OutcomeUnknown) else {}


_UNEXPECTED = "internal-error"
_LATER_SECONDS = 5.0
_WAITS = {"storage-full": 60.0}
_UNTOLD = {
    "outcome-unknown": "ask for these jobs later: they may have been accepted",
    "engine-unavailable": "try again later",
    _UNEXPECTED: "",
}
_KINDS: dict[type[HeadraceError], str] = {  # the first that fits
    QueueFull: "queue-full",
    DuplicateJob: "duplicate-job",
    PayloadTooLarge: "payload-too-large",
    StorageFull: "storage-full",
    InvalidArguments: "validation-failed",
    InvalidOption: "validation-failed",
    UnknownTask: "unknown-task",
    Unsupported: "unsupported",
    JobNotFound: "not-found",
    Conflict: "conflict",
    OutcomeUnknown: "outcome-unknown",
    EngineError: "engine-unavailable",
}
