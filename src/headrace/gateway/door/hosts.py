"""Hosts: which names a request may be addressed to.

A web page whose name is made to point at this machine (DNS rebinding) is of the same origin as a
gateway here, for its visitor's browser. What gives it away is that its requests still name it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import Scope

from headrace.gateway.problem import Problem

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_-][a-z0-9._-]{0,253})(:[0-9]{0,5})?")
_REMEMBERED = 256
_DETAILS = {
    "malformed-request": "the Host field is no name or address",
    "misdirected-request": "the setting `hosts` names what is served here",
}


def check_host(scope: Scope, hosts: tuple[str, ...]) -> None:
    """Turn away a request to a name that is not served here (RFC 9110 §7.2, RFC 9112 §3.2).

    An address in place of a name is served if it is the one that the request came to: no name can
    have been made to point there, and probes of a cluster know nothing else.

    Args:
        scope: of the request, or of the handshake of a WebSocket.
        hosts: names that are served, with `*.` for any subdomain, or `*` for whatever is asked.

    Raises:
        Problem: it has no Host field, several, or no name in it (400); or one of elsewhere (421).
    """
    fields = [value for name, value in scope["headers"] if name == b"host"]
    if len(fields) != 1:
        raise Problem("malformed-request", "a request has one Host field")
    server = scope.get("server")
    kind = _problem(fields[0], hosts, server[0] if server else "")
    if kind is not None:
        raise Problem(kind, _DETAILS[kind])


@lru_cache(_REMEMBERED)
def _problem(field: bytes, hosts: tuple[str, ...], here: str) -> str | None:
    """Return what is wrong with a Host field; clients send the same again and again."""
    found = _HOST.fullmatch(field.decode("latin-1").lower())
    if found is None:
        return "malformed-request"
    name = found["name"].removesuffix(".")
    if "*" in hosts or any(_matches(name, pattern) for pattern in hosts):
        return None
    address = _address(name)
    return None if address is not None and address == _address(here) else "misdirected-request"


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.lower()
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return name == pattern or (pattern.startswith("[") and _address(name) == _address(pattern))


def _address(name: str) -> str | None:
    try:
        return str(ip_address(name.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None
