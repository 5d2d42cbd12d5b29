"""Order: what a client says over a WebSocket: `headrace.v1.json`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from headrace.gateway.caller import RESERVED_TAGS, Caller
from headrace.gateway.problem import Problem
from headrace.json_form import MISFITS
from headrace.message import check_name

PROTOCOL = "headrace.v1.json"
"""The name of the subprotocol (RFC 6455 §1.9)."""

MISREAD = MISFITS
"""What `read` raises for a text that is no order."""

_TAG_LENGTH_LIMIT = 255
_CURSOR = re.compile(r"[0-9a-f]{1,12}")

Texts = tuple[str, ...]
Secret = Annotated[str, msgspec.Meta(max_length=8192)]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A message without more to say.

    Attributes:
        op: "ping" asks for a pong; a pong is taken note of.
    """

    op: Literal["ping", "pong"]


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a client wants to be told of, or no longer.

    Attributes:
        op: which of the two.
        jobs: ids of jobs.
        tags: every job with one of these tags.
        queues: every job in one of these queues.
        cursor: up to where it has been told before.
    """

    op: Literal["subscribe", "unsubscribe"]
    jobs: Texts = ()
    tags: Texts = ()
    queues: Texts = ()
    cursor: str | None = None

    def check(self, caller: Caller) -> None:
        """Refuse tags and queues that nobody, or not this caller, can subscribe to.

        Raises:
            Problem: one of them is reserved, or no name (422), or not the caller's (403).
        """
        for tag in self.tags:
            if tag.startswith(RESERVED_TAGS) or not 0 < len(tag) <= _TAG_LENGTH_LIMIT:
                raise Problem("validation-failed", f"the tag {tag!r:.50} is reserved, or none")
        for queue in self.queues:
            check_name("queue", queue)
            if not caller.uses(queue):
                raise Problem("forbidden", f"this key does not allow queue {queue}")


class Introduction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who a client is, if it could not say so before: the first message then.

    Attributes:
        op: always "auth".
        ticket: a ticket.
        token: or an API key.
    """

    op: Literal["auth"]
    ticket: Secret | None = None
    token: Secret | None = None


_KINDS: dict[str, type[Order | Subscription]] = {
    "subscribe": Subscription,
    "unsubscribe": Subscription,
    "ping": Order,
    "pong": Order,
}


class _Head(msgspec.Struct, frozen=True):
    op: str


def read(text: str) -> Order | Subscription:
    """Return what a message says.

    Raises:
        msgspec.ValidationError: and the rest of `MISREAD`: it is no order.
    """
    op = msgspec.json.decode(text, type=_Head).op
    kind = _KINDS.get(op)
    if kind is None:
        raise msgspec.ValidationError(f"op {op!r:.50}: there are {', '.join(_KINDS)}")
    order: Order | Subscription = msgspec.json.decode(text, type=kind)
    return order


def introduction(text: str) -> Introduction:
    """Return who a client says it is.

    Raises:
        msgspec.ValidationError: and the rest of `MISREAD`: it does not say.
    """
    return msgspec.json.decode(text, type=Introduction)


def cursor_of(at: float) -> str:
    """Return the cursor of what was seen at a moment, seconds since 1970 UTC."""
    return f"{max(0, int(at * 1000)):x}"


def cursor_at(cursor: str) -> float:
    """Return the moment of a cursor.

    Raises:
        Problem: it is none (422).
    """
    if not _CURSOR.fullmatch(cursor):
        raise Problem("validation-failed", "this is no cursor: subscribe without one")
    return int(cursor, 16) / 1000
