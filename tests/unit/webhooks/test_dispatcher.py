"""Each ending is told exactly once, whoever dies, and whoever else tells it."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace import App
from headrace.engine import Engine
from headrace.errors import QueueFull
from headrace.ids import Ids
from headrace.message import Message, Retention
from headrace.record import Failure, Filter, QueueLimits, State
from headrace.testing import ManualClock
from headrace.testing.steps import PATIENCE, apply, bury, claim, commit, maintain, settle
from headrace.webhooks import dispatcher as module
from headrace.webhooks import endpoints, interest
from headrace.webhooks.dispatcher import Dispatcher
from headrace.webhooks.endpoint import Endpoint
from headrace.webhooks.envelope import QUEUE, TASK, content
from headrace.webhooks.interest import CALLBACK
from headrace.write import CancelJobs, LimitQueue, Put, Reclaim, Send, Write
from tests.unit.waiting import until

URL = "https://example.com/done"
NOTHING = Retention(succeeded=0.0, dead=0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock) -> Iterator[App]:
    with App("memory:", clock=clock, ids=Ids(clock, seed=1)) as app:
        yield app


def accept(app: App, *, callback: bool = True, **fields: Any) -> str:
    """Accept a job that somebody wants to know of."""
    job_id = app.ids.job_id()
    headers = {CALLBACK: URL} if callback else {}
    message = Message(
        v=1, id=job_id, task="noop", body=msgspec.Raw(b"{}"), headers=headers, **fields
    )
    commit(app.engine, Send((message,)), interest.of(message))
    return job_id


def register(app: App, name: str, **fields: Any) -> None:
    given: dict[str, Any] = {
        "id": name,
        "url": URL,
        "keys": (),
        "created_at": app.clock.now(),
    } | fields
    value = msgspec.json.encode(Endpoint(**given))
    apply(app.engine, Put(endpoints.PREFIX + name, value))


def told(app: App) -> list[tuple[str, str, str | None]]:
    """Return of which job, what and whom deliveries are to tell."""
    deliveries = app.engine.find(Filter(queues=(QUEUE,), tasks=(TASK,)), limit=1000).wait(PATIENCE)
    contents = [content(record.message) for record in deliveries.records]
    events = [(json.loads(each.body), each.endpoint or each.url) for each in contents]
    return sorted((event["subject"], event["type"], whom) for event, whom in events)


def waiting(app: App) -> int:
    return len(app.engine.scan(interest.PREFIX).wait(PATIENCE))


def end_each_way(app: App, clock: ManualClock) -> dict[str, str]:
    """End a job in each way there is, and return what is to be told of it."""
    engine, kinds = app.engine, {}

    def job(kind: str, **fields: Any) -> str:
        job_id = accept(app, **fields)
        kinds[job_id] = f"headrace.job.{kind}"
        return job_id

    job("succeeded")
    settle(engine, claim(engine)[0], result=msgspec.Raw(b"3"))
    job("dead")
    bury(engine, claim(engine)[0])
    apply(engine, CancelJobs((job("cancelled"),)))
    job("cancelled")
    lease = claim(engine)[0]
    apply(engine, CancelJobs((lease.job_id,)))
    settle(engine, lease, State.CANCELLED)
    job("dead", expires_after=5.0)
    clock.advance(6)
    maintain(engine)
    job("dead")  # a crash loop
    for _ in range(3):
        lease = claim(engine, holder="w")[0]
        apply(engine, Reclaim("w", Failure(cause="lease-lost")))
    job("cancelled", unique_key="k", delay=1000.0)
    job("cancelled", unique_key="k", on_conflict="replace", delay=1000.0)
    replacing = accept(app, unique_key="k", on_conflict="replace", delay=1000.0)
    apply(engine, CancelJobs((replacing,)))
    kinds[replacing] = "headrace.job.cancelled"
    return kinds


def test_every_ending_is_told(app: App, clock: ManualClock) -> None:
    kinds = end_each_way(app, clock)
    assert len(kinds) == 9
    assert Dispatcher(app, app.engine).look()
    assert told(app) == sorted((job_id, kind, URL) for job_id, kind in kinds.items())
    assert waiting(app) == 0
    Dispatcher(app, app.engine).look()
    assert len(told(app)) == 9


def test_what_has_not_ended_is_not_told(app: App) -> None:
    accept(app)
    accept(app, delay=100.0)
    claim(app.engine)
    assert Dispatcher(app, app.engine).look()
    assert told(app) == []
    assert waiting(app) == 2


def test_endpoints_are_told_what_they_want(app: App, clock: ManualClock) -> None:
    register(app, "all")
    register(app, "dead", events=("headrace.job.dead",))
    register(app, "acme", tenant="acme")
    register(app, "off", enabled=False)
    job_id = accept(app, callback=False, tags=("tenant:acme",))
    other = accept(app)
    clock.advance(1)
    register(app, "late")
    for lease in claim(app.engine, 2):
        settle(app.engine, lease)
    Dispatcher(app, app.engine).look()
    done = "headrace.job.succeeded"
    assert told(app) == sorted(
        [(job_id, done, "all"), (job_id, done, "acme"), (other, done, "all"), (other, done, URL)]
    )


def test_deliveries_of_one_event_share_its_id(app: App) -> None:
    register(app, "one")
    register(app, "two")
    accept(app, tags=("tenant:acme", "april"), trace="t")
    settle(app.engine, claim(app.engine)[0])
    Dispatcher(app, app.engine).look()
    records = app.engine.find(Filter(queues=(QUEUE,))).wait(PATIENCE).records
    contents = [content(record.message) for record in records]
    assert len(contents) == 3
    assert len({each.event for each in contents}) == len({each.body for each in contents}) == 1
    assert {json.loads(each.body)["id"] for each in contents} == {contents[0].event}
    assert all("tenant:acme" in record.message.tags for record in records)
    assert all("april" not in record.message.tags for record in records)
    assert [each.tenant for each in contents if each.url] == ["acme"]
    assert {record.message.trace for record in records} == {"t"}


def test_a_forgotten_job_is_told_when_it_surely_is_gone(app: App, clock: ManualClock) -> None:
    job_id = accept(app, retention=NOTHING)
    settle(app.engine, claim(app.engine)[0])
    clock.advance(1)
    maintain(app.engine)
    looking = Dispatcher(app, app.engine)
    looking.look()
    assert (told(app), waiting(app)) == ([], 1)
    clock.advance(module._GONE_SECONDS)
    looking.look()
    assert told(app) == [(job_id, "headrace.job.pruned", URL)]
    assert waiting(app) == 0


def test_pages_follow_each_other(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 10)
    monkeypatch.setattr(module, "_BATCH", 3)
    ids = [accept(app) for _ in range(35)]
    looking = Dispatcher(app, app.engine)
    assert not looking.look()
    apply(app.engine, CancelJobs(tuple(ids[10:20])))
    assert not looking.look()
    assert told(app) == [], "it has passed there"
    apply(app.engine, CancelJobs(tuple(ids[:5])))
    looking.look()
    assert [subject for subject, *_ in told(app)] == ids[:5], "the oldest are always looked at"
    while not looking.look():
        pass
    while not looking.look():
        pass
    assert [subject for subject, *_ in told(app)] == ids[:5] + ids[10:20]
    apply(app.engine, CancelJobs(tuple(ids)))
    while waiting(app):
        looking.look()
    assert len(told(app)) == 35


def test_one_of_all_goes_through_the_pages(
    app: App, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 5)
    ids = [accept(app) for _ in range(30)]
    one, other = Dispatcher(app, app.engine), Dispatcher(app, app.engine)
    assert not one.look()
    assert other.look(), "it is not its turn"
    while not one.look():
        pass
    assert not other.look(), "now it is"
    del other  # it dies
    apply(app.engine, CancelJobs((ids[-1],)))
    assert one.look()
    assert told(app) == []
    clock.advance(module._TURN_SECONDS)
    while not one.look():
        pass
    assert [subject for subject, *_ in told(app)] == [ids[-1]]


def test_a_full_queue_of_deliveries_loses_nothing(app: App) -> None:
    job_id = accept(app)
    apply(app.engine, CancelJobs((job_id,)))
    apply(app.engine, LimitQueue(QUEUE, QueueLimits(max_depth=0)))
    looking = Dispatcher(app, app.engine)
    with pytest.raises(QueueFull):
        looking.look()
    assert looking._tick() is None, "a service goes on"
    assert waiting(app) == 1
    apply(app.engine, LimitQueue(QUEUE, QueueLimits()))
    looking.look()
    assert len(told(app)) == 1


def test_it_looks_after_a_hint(app: App) -> None:
    looking = Dispatcher(app, app.engine)
    looking.start()
    try:
        for n in range(3):
            apply(app.engine, CancelJobs((accept(app),)))
            until(lambda n=n: len(told(app)) == n + 1, "a delivery")  # type: ignore[misc] # a number
    finally:
        looking.stop()


# Death --------------------------------------------------------------------------------------------


class Died(BaseException):
    """A dispatcher that was killed."""


class Mortal:
    """An engine whose user dies at its n-th call, before it or after it."""

    def __init__(self, engine: Engine, at: int, *, after: bool) -> None:
        self._engine, self._left, self._after = engine, at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._engine, name)

        def call(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Died
            reply = method(*args, **options)
            if self._left == 0:
                reply.wait(PATIENCE)
                raise Died
            return reply

        return call


class Careless(Dispatcher):
    """Sends deliveries in a commit of their own: what a dispatcher must never do."""

    def _commit(self, each: Sequence[tuple[Write[Any], Send | None]]) -> None:
        for delete, send in each:
            if send is not None:
                self._engine.apply(send).wait(PATIENCE)
            self._engine.apply(delete).wait(PATIENCE)


def endings_told(
    kind: type[Dispatcher], at: int, *, after: bool, make: Callable[[ManualClock], App]
) -> tuple[set[str], Counter[str], bool]:
    """End jobs in all ways while dispatchers die; return what ended, what was told, who died."""
    clock = ManualClock()
    with make(clock) as app:
        kinds = end_each_way(app, clock)
        mortal: Any = Mortal(app.engine, at, after=after)
        died = False
        try:
            kind(app, mortal).look()
        except Died:
            died = True
        kind(app, app.engine).look()
        assert waiting(app) == 0
        return set(kinds), Counter(subject for subject, *_ in told(app)), died


def in_memory(clock: ManualClock) -> App:
    return App("memory:", clock=clock)


@pytest.mark.parametrize("after", [False, True])
def test_wherever_one_dies_each_ending_is_told_once(
    monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    for at in itertools.count(1):
        ended, counts, died = endings_told(Dispatcher, at, after=after, make=in_memory)
        assert counts == Counter(ended), f"it died at call {at}"
        if not died:
            assert at > 10
            return


def test_the_test_finds_one_that_sends_apart() -> None:
    found = [
        endings_told(Careless, at, after=True, make=in_memory)[1].most_common(1)[0][1]
        for at in range(1, 8)
    ]
    assert max(found) > 1


def test_rivals_tell_each_ending_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 20)
    monkeypatch.setattr(module, "_BATCH", 5)
    with App(f"sqlite:///{tmp_path / 'jobs.db'}", ballast=0) as app:
        ids = [accept(app) for _ in range(60)]
        apply(app.engine, CancelJobs(tuple(ids)))
        start = threading.Barrier(4, timeout=30)

        def compete(_: int) -> None:
            looking = Dispatcher(app, app.engine)
            start.wait()
            while not looking.look() or waiting(app):
                pass

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(compete, range(4)))
        assert Counter(subject for subject, *_ in told(app)) == Counter(ids)
