"""One look serves all who wait; none is forgotten, whatever hints and engine do."""

from __future__ import annotations

import asyncio
import threading

import pytest

from headrace.app import App
from headrace.gateway.problem import Problem
from headrace.gateway.watching import feed as module
from headrace.gateway.watching.feed import Feed
from headrace.record import Filter, State
from headrace.write import CancelJobs, EditJobs
from tests.unit.gateway.steps import claim, engine_of, finish, report, settle, submit
from tests.unit.gateway.watching.counting import CountingDesk, Notebook, happens


def test_a_waiter_is_told_of_every_state(app: App) -> None:
    async def main() -> None:
        feed, notes = Feed(CountingDesk(app)), Notebook()
        job = await submit(app)
        with feed.waiting(notes):
            feed.watch(job, notes)
            await happens(lambda: notes.states == ["ready"])
            lease = await claim(app)
            await happens(lambda: notes.states[-1] == "running")
            await report(app, job, 1)
            await happens(lambda: notes.told[-1][1].progress)  # type: ignore[union-attr] # it is there
            await settle(app, lease)
            await happens(lambda: notes.states == ["ready", "running", "succeeded"])
            feed.unwatch(job, notes)
        await feed.close()
        assert feed._watched == {}

    asyncio.run(main())


def test_a_waiter_costs_no_query(app: App) -> None:
    async def questions(waiters: int, jobs: int) -> int:
        desk = CountingDesk(app)
        feed = Feed(desk)
        ids = [await submit(app) for _ in range(jobs)]
        books = [Notebook() for _ in range(waiters)]
        for number, notes in enumerate(books):
            feed.watch(ids[number % jobs], notes)
        await happens(lambda: all(notes.told for notes in books))
        assert desk.counting is not None
        desk.counting.calls.clear()
        for _ in ids:
            await finish(app)
        await happens(lambda: all(notes.states[-1] == "succeeded" for notes in books))
        await feed.close()
        return desk.counting.calls.total()

    few, many = asyncio.run(questions(20, 20)), asyncio.run(questions(2000, 20))
    assert many <= 3 * few + 20  # by the waiter it would be a hundred times


def test_many_jobs_are_asked_for_at_once(app: App) -> None:
    async def main() -> None:
        desk = CountingDesk(app)
        feed, notes = Feed(desk), Notebook()
        ids = [job.id for job in await app.asubmit([app.registry.get("add").call(1)] * 300)]
        for job_id in ids:
            feed.watch(job_id, notes)
        await happens(lambda: len(notes.told) >= 300)
        assert desk.counting is not None
        assert desk.counting.calls["get"] <= 2
        engine = await engine_of(app)
        await engine.apply(CancelJobs(tuple(ids)))
        await happens(lambda: sum(s is not None and s.ended for _, s in notes.told) >= 300)
        assert desk.counting.calls["get"] <= 20
        await feed.close()

    asyncio.run(main())


@pytest.mark.parametrize("jobs", [1, 100])
def test_polling_suffices(app: App, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)

    async def main() -> None:
        feed, notes = Feed(CountingDesk(app, hints=False)), Notebook()
        job, *_ = [await submit(app) for _ in range(jobs)]
        others = Notebook()
        for record in (await (await engine_of(app)).find(_every(), limit=500)).records:
            feed.watch(record.id, others)
        feed.watch(job, notes)
        await happens(lambda: notes.told)
        lease = await claim(app)
        await report(app, job, 2)
        await happens(lambda: notes.told[-1][1].progress)  # type: ignore[union-attr] # it is there
        await settle(app, lease)
        await happens(lambda: notes.states[-1] == "succeeded")
        await feed.close()

    asyncio.run(main())


def _every() -> Filter:
    return Filter()


def test_hints_are_quicker_than_polling(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 3600)

    async def main() -> None:
        feed, notes = Feed(CountingDesk(app)), Notebook()
        job = await submit(app)
        feed.watch(job, notes)
        await happens(lambda: notes.told)
        await finish(app)
        await happens(lambda: notes.states[-1] == "succeeded")
        await feed.close()

    asyncio.run(main())


@pytest.mark.parametrize("jobs", [1, 100])
def test_nobody_is_told_what_is_as_before(
    app: App, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)

    async def main() -> None:
        desk = CountingDesk(app)
        feed, notes = Feed(desk), Notebook()
        for _ in range(jobs):
            feed.watch(await submit(app), notes)
        await happens(lambda: len(notes.told) >= jobs)
        told = len(notes.told)
        assert desk.counting is not None
        desk.counting.calls.clear()
        await happens(lambda: desk.counting is None or desk.counting.calls["get"] > 5)
        assert len(notes.told) == told
        await feed.close()

    asyncio.run(main())


def test_what_changes_without_a_state_is_found(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(module, "_SWEEP", 10)

    async def main() -> None:
        feed, notes = Feed(CountingDesk(app)), Notebook()
        ids = [await submit(app, delay=600) for _ in range(100)]
        for job_id in ids:
            feed.watch(job_id, notes)
        await happens(lambda: len(notes.told) >= 100)
        engine = await engine_of(app)
        await engine.apply(EditJobs((ids[77],), priority=7, run_at=app.clock.now() + 900))
        before = len(notes.told)
        await happens(lambda: ids[77] in [job for job, _ in notes.told[before:]])
        await feed.close()

    asyncio.run(main())


def test_an_engine_in_trouble_is_asked_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)

    async def main() -> None:
        desk = CountingDesk(app)
        feed, notes = Feed(desk), Notebook()
        job = await submit(app)
        feed.watch(job, notes)
        await happens(lambda: notes.told)
        assert desk.counting is not None
        desk.counting.failing = 5
        await finish(app)
        await happens(lambda: notes.states[-1] == "succeeded")
        assert desk.counting.failing == 0
        await feed.close()

    asyncio.run(main())


def test_a_job_that_is_not_there_is_gone(app: App) -> None:
    async def main() -> None:
        feed, notes = Feed(CountingDesk(app)), Notebook()
        feed.watch("018f3c5e-7a10-7000-8000-000000000000", notes)
        await happens(lambda: notes.states == ["gone"])
        assert feed._watched == {}
        await feed.close()

    asyncio.run(main())


def test_a_closed_app_stops_who_waits(app: App) -> None:
    async def main() -> None:
        feed, notes = Feed(CountingDesk(app)), Notebook()
        job = await submit(app)
        with feed.waiting(notes):
            feed.watch(job, notes)
            await happens(lambda: notes.told)
            await app.aclose()
            await happens(lambda: notes.stopped)
        await feed.close()

    asyncio.run(main())


def test_any_thread_may_drain(app: App) -> None:
    async def main() -> None:
        desk = CountingDesk(app)
        feed, notes, late = Feed(desk), Notebook(), Notebook()
        with feed.waiting(notes):
            thread = threading.Thread(target=feed.drain)
            thread.start()
            thread.join()
            await happens(lambda: notes.stopped)
        with feed.waiting(late):
            assert late.stopped
        assert desk.load.draining
        await feed.close()

    asyncio.run(main())


def test_too_many_do_not_wait(app: App) -> None:
    async def main() -> None:
        feed = Feed(CountingDesk(app, max_waiters=1))
        with feed.waiting(Notebook()), pytest.raises(Problem), feed.waiting(Notebook()):
            pass
        with feed.waiting(Notebook()):
            pass

    asyncio.run(main())


def test_far_too_many_jobs_are_not_watched(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_JOBS_LIMIT", 1)

    async def main() -> None:
        feed, notes = Feed(CountingDesk(app)), Notebook()
        first, second = await submit(app), await submit(app)
        assert feed.watch(first, notes)
        assert feed.watch(first, Notebook())
        assert not feed.watch(second, notes)
        await feed.close()

    asyncio.run(main())


def test_it_works_on_one_loop_after_another(app: App) -> None:
    feed = Feed(CountingDesk(app))

    async def main() -> None:
        notes = Notebook()
        job = await submit(app)
        feed.watch(job, notes)
        await happens(lambda: notes.told)
        await finish(app, State.DEAD)
        await happens(lambda: notes.states[-1] == "dead")
        feed.unwatch(job, notes)

    asyncio.run(main())
    asyncio.run(main())


def test_looking_takes_a_fifth_of_the_time_at_most(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses are as long as the looks were; what is measured here is what is slept."""

    async def main() -> None:
        feed = Feed(CountingDesk(app))
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        for took in (0.1, 0.1, 0.2, 0.0, 9.0, 9.0):
            feed._wake.set()
            await feed._rest(took)
        assert slept == [0.002, 0.4, 0.4, 0.002, 0.002, 1.0]

    asyncio.run(main())
