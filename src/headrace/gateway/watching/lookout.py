"""Lookout: one job, watched for one request."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Self

from starlette.requests import Request

from headrace.gateway.watching.channel import Channel
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.sight import Sight


class Lookout:
    """Waits for news of one job, in a `with` block. Of many at once, only the newest counts.

    Args:
        feed: brings the news.
        job_id: the job.

    Attributes:
        sight: how the job was seen last; None before the first time.
        gone: whether it is no longer kept.
        stopped: whether there will be no more news.
    """

    def __init__(self, feed: Feed, job_id: str) -> None:
        self._feed = feed
        self._job_id = job_id
        self._news = asyncio.Event()
        self.sight: Sight | None = None
        self.gone = False
        self.stopped = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._feed.waiting(self))
            self._feed.watch(self._job_id, self)
            stack.callback(self._feed.unwatch, self._job_id, self)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tell(self, job_id: str, sight: Sight | None) -> None:
        """Take note of how the job is now."""
        del job_id  # there is only one
        self.sight, self.gone = sight, sight is None
        self._news.set()

    def miss(self, channel: Channel) -> None:
        """Do nothing: it follows no channel."""

    def stop(self) -> None:
        """Wait for nothing any more."""
        self.stopped = True
        self._news.set()

    async def look(self, seconds: float) -> bool:
        """Wait for news, or for an end, and return whether there were any in time."""
        if not self._news.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return False
        if not self.stopped:
            self._news.clear()
        return True

    async def stay(self, request: Request) -> None:
        """Stop when the client of a request has gone (ASGI's `http.disconnect`)."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.stop()
