"""Prefer: what a client would like, and does not insist on (RFC 7240)."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

_PREFERENCE = re.compile(
    r'\s*(?P<name>[!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?P<value>"[^"]*"|[^\s;,"]*))?\s*(?:;[^,]*)?'
)
_SECONDS = re.compile(r"[0-9]{1,9}")


def preferences(headers: Headers) -> dict[str, str]:
    """Return preferences by name, in lower case; of several of a name the first (RFC 7240 §2).

    What is no preference is passed over, as it is said there of unknown ones.
    """
    found: dict[str, str] = {}
    for text in ",".join(headers.getlist("prefer")).split(","):
        match = _PREFERENCE.fullmatch(text)
        if match is not None:
            found.setdefault(match["name"].lower(), (match["value"] or "").strip('"'))
    return found


def wait_of(headers: Headers) -> int | None:
    """Return how many seconds a client would wait (RFC 7240 §4.3); None if it does not say."""
    value = preferences(headers).get("wait", "")
    return int(value) if _SECONDS.fullmatch(value) else None
