"""Idempotency: a request that carries a key takes effect once, however often it is sent.

As draft-ietf-httpapi-idempotency-key-header-07 has it. The key is an entry of the engine's store,
written in the commit that makes the jobs: one is never there without the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import sha256

import msgspec
from starlette.requests import Request

from headrace.gateway.caller import Caller
from headrace.gateway.problem import Problem
from headrace.write import Put

KEY = b"idempotency-key"
PREFIX = "idempotency/"

_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,255}")
_NOTHING = nullcontext()
_ESCAPED = re.compile(r'\\(["\\])')


class Remembered(msgspec.Struct, frozen=True):
    """What is remembered of a request.

    Attributes:
        fingerprint: tells it from another one.
        jobs: the ids of what it submitted.
    """

    fingerprint: str
    jobs: tuple[str, ...]


class Claim(msgspec.Struct, frozen=True):
    """A key that a request carries.

    Attributes:
        entry: the name of its entry in the store.
        fingerprint: the request's.
        lifetime: seconds that it is remembered.
    """

    entry: str
    fingerprint: str
    lifetime: float

    def write(self, jobs: tuple[str, ...]) -> Put:
        """Return what remembers the request; refused with `Conflict` if the key was used."""
        value = msgspec.json.encode(Remembered(self.fingerprint, jobs))
        return Put(self.entry, value, expect=0, expires_after=self.lifetime)

    def recall(self, value: bytes) -> tuple[str, ...]:
        """Return the ids of the jobs that the same request submitted before.

        Raises:
            Problem: it was another request (422).
        """
        remembered = msgspec.json.decode(value, type=Remembered)
        if remembered.fingerprint != self.fingerprint:
            detail = "this Idempotency-Key came with another request before: use a new key"
            raise Problem("idempotency-key-reused", detail)
        return remembered.jobs


class InFlight:
    """The keys of the requests that are being handled in this process."""

    def __init__(self) -> None:
        self._entries: set[str] = set()

    def hold(self, entry: str | None) -> AbstractContextManager[None]:
        """Hold a key, if there is one, in a `with` block, while a request is handled.

        Raises:
            Problem: another request holds it (409).
        """
        return _NOTHING if entry is None else self._hold(entry)

    @contextmanager
    def _hold(self, entry: str) -> Iterator[None]:
        if entry in self._entries:
            detail = "the first request with this key is not answered yet: try again in a moment"
            raise Problem("idempotency-in-progress", detail, {"Retry-After": "1"})
        self._entries.add(entry)
        try:
            yield
        finally:
            self._entries.discard(entry)


def entry_of(request: Request, caller: Caller) -> str | None:
    """Return the name of the entry for the key that a request carries, if any.

    Two callers never meet in one entry, nor do two routes.

    Raises:
        Problem: the header field is no string of structured fields (RFC 9651 §3.3.3), nor a bare
            word, of 1 to 255 characters; or there are two (400).
    """
    fields = request.headers.getlist(KEY.decode())
    if not fields:
        return None
    text = fields[0].strip()
    if quoted := _QUOTED.fullmatch(text):
        key = _ESCAPED.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        key = ""
    if not key or len(fields) > 1:
        detail = 'send one Idempotency-Key of 1 to 255 characters, such as "8e03978e-40d5-43dd"'
        raise Problem("malformed-request", detail, errors=[{"header": "Idempotency-Key"}])
    scope = (caller.tenant or "", caller.name, request.scope["path"], key)
    return PREFIX + sha256("\0".join(scope).encode()).hexdigest()


def fingerprint(request: Request, media_type: str, canonical: bytes) -> str:
    """Return what tells a request from another one.

    Args:
        request: carries a key.
        media_type: the type of its body.
        canonical: its body, however its members were ordered.
    """
    digest = sha256()
    scope = request.scope
    for part in (scope["method"].encode(), scope["path"].encode(), scope["query_string"]):
        digest.update(part + b"\0")
    digest.update(media_type.encode() + b"\0" + canonical)
    return digest.hexdigest()
