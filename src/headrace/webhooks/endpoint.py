"""Endpoint: where somebody wants to be told of jobs, and of which."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from headrace.webhooks.event import TENANT_TAG

CONCURRENCY = 4


class SigningKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret that signs.

    Attributes:
        text: `whsec_…` or `whsk_…`.
        until: when it signs no more, seconds since 1970 UTC; None: it is the current one.
    """

    text: str
    until: float | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A URL that is told of jobs that end.

    Attributes:
        id: its name.
        url: where to send.
        keys: what signs; the current one first.
        created_at: seconds since 1970 UTC; it is told of jobs that were accepted later.
        tenant: whose jobs it is told of; None: everybody's.
        bounds: patterns of the queues that its owner may know of; none: all.
        events: types of events that it wants; none: all.
        queues: patterns of queues, such as `mail-*`; none: all.
        tasks: patterns of tasks; none: all.
        tags: a job must have all of these.
        note: what its owner calls it.
        rate: deliveries a second at most; None: no limit.
        concurrency: deliveries at a time that one worker process begins.
        enabled: whether anything is sent.
        disabled_because: why not, if it was switched off by itself.
        failing_since: since when every delivery has failed; None: the last one was well.
    """

    id: str
    url: str
    keys: tuple[SigningKey, ...]
    created_at: float
    tenant: str | None = None
    bounds: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    note: str = ""
    rate: float | None = None
    concurrency: int = CONCURRENCY
    enabled: bool = True
    disabled_because: str = ""
    failing_since: float | None = None

    def may_want(self, task: str, queue: str, tags: Sequence[str]) -> bool:
        """Return whether it wants to be told of such a job, if it ends in the right way."""
        return (
            self.enabled
            and (self.tenant is None or f"{TENANT_TAG}{self.tenant}" in tags)
            and _fits(queue, self.bounds)
            and _fits(queue, self.queues)
            and _fits(task, self.tasks)
            and all(tag in tags for tag in self.tags)
        )

    def wants(self, event: str) -> bool:
        """Return whether it wants events of that type."""
        return not self.events or event in self.events


def current(keys: Sequence[SigningKey], now: float) -> list[str]:
    """Return what signs now: the current key, and those that were it until lately."""
    return [key.text for key in keys if key.until is None or key.until > now]


def rotated(
    keys: Sequence[SigningKey], text: str, now: float, overlap: float
) -> tuple[SigningKey, ...]:
    """Return keys of which a new one is current.

    Args:
        keys: those there were.
        text: the new secret; it takes the place of one of its own kind.
        now: seconds since 1970 UTC.
        overlap: seconds for which the old one signs as well.
    """
    kind = text.partition("_")[0]
    kept = []
    for key in keys:
        if key.until is None and key.text.startswith(f"{kind}_"):
            kept.append(SigningKey(key.text, now + overlap))
        elif key.until is None or key.until > now:
            kept.append(key)
    return (SigningKey(text), *kept)


def tenant_of(tags: Sequence[str]) -> str | None:
    """Return the tenant that a job with these tags belongs to."""
    return next((t.removeprefix(TENANT_TAG) for t in tags if t.startswith(TENANT_TAG)), None)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
