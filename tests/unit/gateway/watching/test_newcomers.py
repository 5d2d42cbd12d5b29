"""Who follows a tag or a queue is told of jobs that nobody knew of."""

from __future__ import annotations

import asyncio

import pytest

from headrace.app import App
from headrace.gateway.watching import newcomers as module
from headrace.gateway.watching.channel import Channel
from headrace.gateway.watching.feed import Feed
from tests.unit.gateway.steps import finish, submit
from tests.unit.gateway.watching.counting import CountingDesk, Notebook, happens

T = Channel("tag", "t")
MAIL = Channel("queue", "mail")


def test_a_job_that_came_and_ended_between_two_looks_is_told_of(app: App) -> None:
    async def main() -> None:
        feed, notes = Feed(CountingDesk(app, hints=False)), Notebook()
        feed.join(T, notes)
        await happens(lambda: feed._newcomers._recent is not None)
        job = await submit(app, tags=("t",))
        await finish(app)
        await happens(lambda: notes.told)
        assert (notes.told[0][0], notes.states) == (job, ["succeeded"])
        assert feed._watched == {}
        await feed.close()

    asyncio.run(main())


def test_however_many_channels_there_are_one_question_finds_newcomers(app: App) -> None:
    async def main() -> None:
        desk = CountingDesk(app)
        feed = Feed(desk)
        books = {f"tag-{n}": Notebook() for n in range(100)}
        for tag, notes in books.items():
            feed.join(Channel("tag", tag), notes)
        await happens(lambda: not feed._newcomers._scattered)
        assert desk.counting is not None
        desk.counting.calls.clear()
        await submit(app, tags=("tag-5", "tag-7"))
        await happens(lambda: books["tag-5"].told and books["tag-7"].told)
        assert desk.counting.calls["find_ids"] <= 10
        assert not books["tag-6"].told
        await feed.close()

    asyncio.run(main())


def test_more_than_are_looked_at_is_said(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    monkeypatch.setattr(module, "_PAGES", 2)

    async def main() -> None:
        feed, notes = Feed(CountingDesk(app)), Notebook()
        await submit(app)
        feed.join(T, notes)
        await happens(lambda: feed._newcomers._recent is not None)
        call = app.registry.get("add").using(tags=("t",)).call(1)
        jobs = await app.asubmit([call] * 20)
        await happens(lambda: notes.missed)
        await happens(lambda: {job for job, _ in notes.told} == {job.id for job in jobs})
        await feed.close()

    asyncio.run(main())


def test_the_last_to_leave_puts_out_the_light(app: App) -> None:
    async def main() -> None:
        feed, one, two = Feed(CountingDesk(app)), Notebook(), Notebook()
        await submit(app, queue="mail")
        for notes in (one, two):
            feed.join(MAIL, notes)
        await happens(lambda: one.told and two.told)
        left = []
        for notes in (one, two, two):
            feed.part(MAIL, notes)
            left.append((feed._newcomers.wanted, len(feed._watched)))
        assert left == [(True, 1), (False, 0), (False, 0)]
        await feed.close()

    asyncio.run(main())
