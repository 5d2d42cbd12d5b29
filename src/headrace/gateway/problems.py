"""Problems: what a kind of problem means, at the address that is its `type` (RFC 9457 §3.1.1)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.gateway.portrait import MEDIA_TYPE, encode
from headrace.gateway.problem import TITLES, Problem, type_of

REMEDIES = {
    "malformed-request": "Correct what `detail` names; sending the same again does not help.",
    "unauthenticated": "Show an API key that holds: `Authorization: Bearer hr_…`.",
    "forbidden": "Use a key with the scope and queue that `detail` names.",
    "not-found": "Check the name. Jobs are forgotten when their retention time is over.",
    "method-not-allowed": "Use one of the methods that the field `Allow` names.",
    "not-acceptable": "Ask for JSON, or leave the field `Accept` away.",
    "request-timeout": "Send it again, and faster.",
    "conflict": "Look at what is there now, and decide anew.",
    "duplicate-job": "The job in `job_id` does this already; wait for it, or use another key.",
    "idempotency-in-progress": "Send the same again after `Retry-After`.",
    "job-not-finished": "Ask again after `Retry-After`, or wait with `Prefer: wait=N`.",
    "job-failed": "The job itself tells why; it may be retried.",
    "job-terminal": "It has ended already, and stays as it is.",
    "expired": "Results are kept for their retention time; ask earlier.",
    "precondition-failed": "Get it anew: somebody else has changed it. Then change that.",
    "payload-too-large": "Send less at once; `/v1/meta` tells the limits.",
    "uri-too-long": "Send less in the address; `/v1/meta` tells the limits.",
    "unsupported-media-type": "Send `application/json`, not compressed, in UTF-8.",
    "misdirected-request": "Use a host name that is served: the setting `hosts` has them.",
    "validation-failed": "Correct what `errors` points at.",
    "unknown-task": "Check the name: `/v1/tasks` lists them.",
    "idempotency-key-reused": "Use a new key for a new request.",
    "quota-exceeded": "Come again after `Retry-After`, and more slowly.",
    "headers-too-large": "Send fewer or shorter header fields.",
    "internal-error": "Nothing that a client could do: the server's log has the reason.",
    "unsupported": "Another engine can do this: `/v1/meta` tells the capabilities.",
    "queue-full": "Come again after `Retry-After`: nothing was accepted.",
    "temporary-reduced-capacity": "Come again after `Retry-After`: nothing was accepted.",
    "draining": "Send it again: another process will answer.",
    "engine-unavailable": "Come again after `Retry-After`: nothing was accepted.",
    "outcome-unknown": "Ask for the jobs in `job_ids` before you send them again.",
    "storage-full": "Come again after `Retry-After`: nothing was accepted, nothing is lost.",
}
"""What whoever meets a problem can do about it."""


class Problems:
    """Tells of kinds of problems. It needs no key: nothing here is about anybody."""

    def __init__(self) -> None:
        self.routes = [
            Route("/v1/problems", self._list, methods=["GET"]),
            Route("/v1/problems/{kind}", self._show, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        """Tell of all kinds."""
        base = request.scope.get("root_path", "")
        return _answer({"problems": [_portrait(kind, base) for kind in TITLES]})

    async def _show(self, request: Request) -> Response:
        """Tell of one kind."""
        kind = request.path_params["kind"]
        if kind not in TITLES:
            raise Problem("not-found", "there is no such kind of problem")
        return _answer(_portrait(kind, request.scope.get("root_path", "")))


def _answer(content: dict[str, Any]) -> Response:
    return Response(encode(content), 200, {"Cache-Control": "max-age=3600"}, MEDIA_TYPE)


def _portrait(kind: str, base: str) -> dict[str, Any]:
    status, title = TITLES[kind]
    return {
        "type": type_of(kind, base),
        "title": title,
        "status": status,
        "remedy": REMEDIES.get(kind),
    }
