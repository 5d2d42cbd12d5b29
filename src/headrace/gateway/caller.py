"""Caller: who asks, and what it may do."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from headrace.gateway.quota import Quota
from headrace.message import Message
from headrace.webhooks.event import HIDDEN_TAGS, TENANT_TAG

SCOPES = (
    "jobs:submit",
    "jobs:read",
    "jobs:write",
    "queues:read",
    "queues:write",
    "webhooks",
    "metrics",
    "admin",
)
"""What a key may be good for: submit; read; cancel and retry; see queues; pause them; register
webhooks; read metrics; all of it."""

RESERVED_TAGS = HIDDEN_TAGS
"""Tags that begin so are the gateway's own: no client can set them, and none is shown them."""


SHARED = frozenset({"queues:read", "queues:write", "metrics", "admin"})
"""Scopes that reach what all tenants share: whoever belongs to one tenant never has them."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever makes a request.

    Attributes:
        name: the id of its API key, or "anonymous".
        tenant: whose jobs it sees and submits; None: everybody's.
        scopes: what it may do, of `SCOPES`.
        queues: patterns of the queues it may use, such as `mail-*`; none: all of them.
        quota: how many requests it may make; None: as many as it likes.
    """

    name: str
    tenant: str | None = None
    scopes: frozenset[str] = frozenset()
    queues: tuple[str, ...] = ()
    quota: Quota | None = None

    def may(self, scope: str, queue: str | None = None) -> bool:
        """Return whether it may do something, in a queue if one is named."""
        if self.tenant is not None and scope in SHARED:
            return False
        if scope not in self.scopes and "admin" not in self.scopes:
            return False
        return queue is None or self.uses(queue)

    def uses(self, queue: str) -> bool:
        """Return whether a queue is one of those that it may know of."""
        return not self.queues or any(fnmatchcase(queue, pattern) for pattern in self.queues)

    def owns(self, tags: tuple[str, ...]) -> bool:
        """Return whether a job with these tags is one that it may know of."""
        return self.tenant is None or self.tag in tags

    def knows(self, message: Message) -> bool:
        """Return whether a job is one that it may know of: its tenant's, in a queue of its."""
        return self.owns(message.tags) and self.uses(message.queue)

    @property
    def tag(self) -> str:
        """The tag of its tenant's jobs."""
        return f"{TENANT_TAG}{self.tenant}"


ANONYMOUS = Caller(name="anonymous", scopes=frozenset({"admin"}))
"""Whoever comes without a key where that is allowed: everything is its."""
