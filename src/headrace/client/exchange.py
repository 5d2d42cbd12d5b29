"""Exchange: what goes to a gateway, what comes back, and the pauses between, as values."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request.

    Attributes:
        method: such as "GET".
        path: below the place where the gateway is.
        query: parameters of the address.
        headers: header fields.
        body: what is sent; None: nothing.
        patience: seconds that the answer may take.
        again: whether it may be sent twice: it changes nothing, or says an Idempotency-Key.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    patience: float = 30.0
    again: bool = True


class Answer(msgspec.Struct, frozen=True):
    """What came back.

    Attributes:
        status: the HTTP status; 0: nothing came back.
        headers: header fields, their names in lower case.
        body: what came.
        trouble: why nothing came back.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    trouble: str = ""

    @property
    def fine(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 400  # noqa: PLR2004 - as RFC 9110 §15 has them


class Pause(msgspec.Struct, frozen=True):
    """Some time in which nothing is sent.

    Attributes:
        seconds: how long.
    """

    seconds: float


Plan = Generator[Request | Pause, Any, T]
"""A conversation: it yields requests and pauses, is sent the answers, and returns an outcome.

Whoever runs it decides how: a blocking client sleeps, one of asyncio awaits.
"""
