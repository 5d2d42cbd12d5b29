"""Channel: the jobs with a tag, or in a queue; and those who are told of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import msgspec

from headrace.gateway.watching.sight import Sight
from headrace.message import Message
from headrace.record import Filter, State
from headrace.webhooks.event import TENANT_TAG


class Channel(msgspec.Struct, frozen=True):
    """Jobs that somebody wants to be told of without knowing their ids.

    Attributes:
        kind: whether it is about a tag or about a queue.
        name: the tag, or the queue.
        tenant: whose jobs it is about; None: everybody's.
    """

    kind: Literal["tag", "queue"]
    name: str
    tenant: str | None = None

    def filter(self, states: tuple[State, ...]) -> Filter:
        """Return what finds its jobs in the ledger."""
        own = () if self.tenant is None else (f"{TENANT_TAG}{self.tenant}",)
        if self.kind == "queue":
            return Filter(states=states, queues=(self.name,), tags=own)
        return Filter(states=states, tags=(self.name, *own))


def channels_of(message: Message) -> Iterator[Channel]:
    """Yield every channel that a job belongs to."""
    owners = [tag.removeprefix(TENANT_TAG) for tag in message.tags if tag.startswith(TENANT_TAG)]
    for tenant in (None, *owners):
        yield Channel("queue", message.queue, tenant)
        for tag in message.tags:
            yield Channel("tag", tag, tenant)


class Waiter(Protocol):
    """Whoever waits for news. It is told on the event loop, and returns at once."""

    def tell(self, job_id: str, sight: Sight | None) -> None:
        """Take note of how a job is now; None: it is no longer kept."""
        ...

    def miss(self, channel: Channel) -> None:
        """Take note that jobs of a channel may have come and gone untold."""
        ...

    def stop(self) -> None:
        """Take note that there will be no more news: the process is about to stop."""
        ...


class Audience:
    """Those who are told of the jobs of a channel, as one waiter.

    Args:
        channel: the channel.
        unwatch: lets go of a job.

    Attributes:
        channel: the channel.
        waiters: who is told.
        members: ids of its unfinished jobs.
        whole: whether all of them are there.
    """

    __slots__ = ("_unwatch", "channel", "members", "waiters", "whole")

    def __init__(self, channel: Channel, unwatch: Callable[[str, Waiter], None]) -> None:
        self.channel = channel
        self.waiters: set[Waiter] = set()
        self.members: set[str] = set()
        self.whole = True
        self._unwatch = unwatch

    def tell(self, job_id: str, sight: Sight | None) -> None:
        """Tell all of them how a job is now, and let go of one that has ended."""
        if sight is None or sight.ended:
            self.members.discard(job_id)
            self._unwatch(job_id, self)
        for waiter in tuple(self.waiters):
            waiter.tell(job_id, sight)

    def miss(self, channel: Channel) -> None:
        """Tell all of them that they may have missed something."""
        self.whole = False
        for waiter in tuple(self.waiters):
            waiter.miss(channel)

    def stop(self) -> None:
        """Do nothing: each of them is told that the process stops."""
