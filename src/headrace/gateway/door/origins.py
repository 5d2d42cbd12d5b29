"""Origins: which web pages may use a gateway from a browser, and which may read what it answers.

Browsers send requests for any page to any address, also to a gateway on the visitor's own machine.
Pages of other origins get nothing to read, unless they are allowed to (Fetch Standard, CORS), and
change nothing without a key: no page can send one along that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.gateway.problem import Problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1
_TELLING = frozenset({b"origin", b"sec-fetch-site"})
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_FIELDS = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID,"
    " Prefer, traceparent, tracestate"
)
_EXPOSED = (
    "ETag, Idempotent-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy,"
    " Retry-After"
)
_MAX_AGE = "600"


def check_origin(scope: Scope, origins: Sequence[str]) -> None:
    """Turn away what a web page of elsewhere wants changed without showing a key.

    Programs that are no browsers send neither `Origin` nor `Sec-Fetch-Site`, and are let pass.

    Args:
        scope: of the request, or of the handshake of a WebSocket.
        origins: pages that may do so, such as `https://app.example`.

    Raises:
        Problem: it comes from another page (403).
    """
    if scope["type"] == "http" and scope["method"] in _SAFE:
        return
    if not any(name in _TELLING for name, _ in scope["headers"]):
        return
    headers = Headers(scope=scope)
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if "authorization" in headers or origin in origins:
        return
    foreign = site not in ("same-origin", "none") if site is not None else _foreign(origin, headers)
    if foreign:
        raise Problem("forbidden", "the setting `origins` names the web pages that may do this")


class Origins:
    """Lets the pages of some origins read answers, and tells browsers so.

    Args:
        site: what answers.
        origins: theirs.
    """

    def __init__(self, site: ASGIApp, origins: Sequence[str]) -> None:
        self._site = site
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add to the answer what its origin may do with it (ASGI)."""
        if scope["type"] != "http" or not self._origins:
            await self._site(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        allowed = origin in self._origins

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = MutableHeaders(scope=message)
                fields.add_vary_header("Origin")
                if allowed:
                    fields["Access-Control-Allow-Origin"] = origin
                    fields["Access-Control-Expose-Headers"] = _EXPOSED
            await send(message)

        if allowed and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            fields = {
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _FIELDS,
                "Access-Control-Max-Age": _MAX_AGE,
            }
            await Response(status_code=204, headers=fields)(scope, receive, tell)
            return
        await self._site(scope, receive, tell)


def _foreign(origin: str | None, headers: Headers) -> bool:
    """Compare whom the page belongs to with whom the request is for."""
    if origin is None:
        return False
    scheme, _, place = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    host = headers.get("host", "").lower()
    return not place or place.lower().removesuffix(port) != host.removesuffix(port)
