"""Conditional: an answer that need not be sent, as the client has it already (RFC 9110 §13)."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def known_to(request: Request) -> frozenset[str]:
    """Return the entity tags of what a client has, as `If-None-Match` names them; `*` is any."""
    text = ",".join(request.headers.getlist("if-none-match"))
    return frozenset({"*"}) if text.strip() == "*" else frozenset(_TAG.findall(text))


def is_known(etag: str, known: frozenset[str]) -> bool:
    """Return whether a client has a representation; weak comparison (RFC 9110 §13.1.2)."""
    return etag in known or "*" in known


def answer(
    body: bytes, media_type: str, known: frozenset[str], headers: dict[str, str]
) -> Response:
    """Return a representation, or 304 if the client has it (RFC 9110 §15.4.5).

    Args:
        body: the representation.
        media_type: its type.
        known: what the client has.
        headers: of either answer; one is its `ETag`.
    """
    if is_known(headers["ETag"], known):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type)
