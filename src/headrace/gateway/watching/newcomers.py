"""Newcomers: finds jobs that nobody knew of for those who follow a tag or a queue.

One question serves all channels: which are the newest jobs of the engine? Each that was not seen
before is handed to the channels that it belongs to. When more came between two looks than are
looked at, every channel is told that it may have missed some, and gathers its unfinished jobs anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from headrace.engine import Engine
from headrace.gateway.desk import Desk
from headrace.gateway.watching.channel import Audience, Channel, Waiter, channels_of
from headrace.gateway.watching.sight import Sight
from headrace.record import LIVE, Filter

MEMBERS_LIMIT = 500
"""Unfinished jobs of a channel that are watched; of more, the newest."""

_PAGE = 200
_PAGES = 5
_ASSEMBLED_AT_ONCE = 20

Ask = Callable[[Sequence[str]], Awaitable[dict[str, Sight]]]
Watch = Callable[[str, Waiter, Sight | None], bool]


class Newcomers:
    """Keeps the audiences of channels.

    Args:
        desk: serves.
        watch: watches a job from now on.
        unwatch: lets go of one.
    """

    def __init__(self, desk: Desk, watch: Watch, unwatch: Callable[[str, Waiter], None]) -> None:
        self._desk = desk
        self._watch = watch
        self._unwatch = unwatch
        self._audiences: dict[Channel, Audience] = {}
        self._scattered: dict[Channel, None] = {}
        self._recent: dict[str, None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody follows a channel."""
        return bool(self._audiences)

    def join(self, channel: Channel, waiter: Waiter) -> Sequence[str]:
        """Let somebody follow a channel, and return the ids of the jobs that are known of it."""
        audience = self._audiences.get(channel)
        if audience is None:
            audience = self._audiences[channel] = Audience(channel, self._unwatch)
            self._scattered[channel] = None
        audience.waiters.add(waiter)
        if not audience.whole:
            waiter.miss(channel)
        return tuple(audience.members)

    def part(self, channel: Channel, waiter: Waiter) -> Audience | None:
        """Let somebody follow a channel no more; return its audience if nobody is left in it."""
        audience = self._audiences.get(channel)
        if audience is None:
            return None
        audience.waiters.discard(waiter)
        if audience.waiters:
            return None
        del self._audiences[channel]
        self._scattered.pop(channel, None)
        if not self._audiences:
            self._recent = None
        return audience

    async def look(self, engine: Engine, ask: Ask) -> None:
        """Find the newcomers, and then the jobs of channels that are new themselves."""
        if not self._audiences:
            return
        await self._find(engine, ask)
        for channel in tuple(self._scattered)[:_ASSEMBLED_AT_ONCE]:
            self._scattered.pop(channel, None)
            if (audience := self._audiences.get(channel)) is not None:
                await self._assemble(engine, ask, audience)

    async def _find(self, engine: Engine, ask: Ask) -> None:
        first = self._recent is None
        known = self._recent or {}
        newest, gap = await self._newest(engine, known)
        unknown = [job_id for job_id in newest if job_id not in known]
        self._recent = dict.fromkeys((*newest, *known))  # the newest first, the oldest forgotten
        for job_id in tuple(self._recent)[_PAGE * _PAGES * 2 :]:
            del self._recent[job_id]
        if first:
            return
        sights = await ask(unknown)
        for job_id in reversed(unknown):
            if job_id in sights:
                self._hand(job_id, sights[job_id])
        if gap:
            self._scattered = dict.fromkeys(self._audiences)
            for audience in tuple(self._audiences.values()):
                audience.miss(audience.channel)

    async def _newest(self, engine: Engine, known: dict[str, None]) -> tuple[list[str], bool]:
        """Return the newest jobs down to one that is known, and whether there was none."""
        newest: list[str] = []
        cursor: str | None = None
        for _ in range(_PAGES if known else 1):
            reply = engine.find_ids(Filter(), limit=_PAGE, cursor=cursor)
            page = await self._desk.answer(reply)
            newest += page.ids
            cursor = page.cursor
            if cursor is None or page.ids[-1] in known:
                return newest, False
        return newest, bool(known)

    def _hand(self, job_id: str, sight: Sight) -> None:
        for channel in channels_of(sight.record.message):
            audience = self._audiences.get(channel)
            if audience is not None and job_id not in audience.members:
                self._add(audience, job_id, sight)

    def _add(self, audience: Audience, job_id: str, sight: Sight) -> None:
        if sight.ended:
            audience.tell(job_id, sight)
        elif len(audience.members) >= MEMBERS_LIMIT:
            audience.miss(audience.channel)
        else:
            audience.members.add(job_id)
            if not self._watch(job_id, audience, sight):
                audience.members.discard(job_id)
                audience.miss(audience.channel)

    async def _assemble(self, engine: Engine, ask: Ask, audience: Audience) -> None:
        reply = engine.find_ids(audience.channel.filter(LIVE), limit=MEMBERS_LIMIT)
        page = await self._desk.answer(reply)
        audience.whole = True
        sights = await ask([job_id for job_id in page.ids if job_id not in audience.members])
        for job_id in reversed(page.ids):  # the oldest first
            if job_id in sights:
                self._add(audience, job_id, sights[job_id])
        if page.cursor is not None:
            audience.miss(audience.channel)
