"""A request watches one job, as long as its client is there."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from headrace.app import App
from headrace.gateway.watching.channel import Channel
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.lookout import Lookout
from tests.unit.gateway.steps import finish, submit
from tests.unit.gateway.watching.counting import CountingDesk


def test_news_are_waited_for(app: App) -> None:
    async def main() -> None:
        desk = CountingDesk(app)
        feed = Feed(desk)
        job = await submit(app)
        with Lookout(feed, job) as lookout:
            assert desk.load.waiting == 1
            assert await lookout.look(20)
            lookout.miss(Channel("tag", "t"))
            assert not await lookout.look(0.01)
            await finish(app)
            while lookout.sight is None or not lookout.sight.ended:
                assert await lookout.look(20)
        assert (desk.load.waiting, feed._watched) == (0, {})
        await feed.close()

    asyncio.run(main())


def test_it_ends_when_the_client_has_gone(app: App) -> None:
    async def main() -> None:
        feed = Feed(CountingDesk(app))
        messages = [{"type": "http.request"}, {"type": "http.disconnect"}]

        async def receive() -> dict[str, str]:
            return messages.pop(0)

        request = Request({"type": "http", "headers": []}, receive)
        with Lookout(feed, await submit(app)) as lookout:
            await lookout.stay(request)
            assert lookout.stopped
            assert await lookout.look(20)
            assert await lookout.look(20)  # and it stays so
        await feed.close()

    asyncio.run(main())
