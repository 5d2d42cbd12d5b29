"""A worker runs what is submitted, and always comes to an end."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace import App, Context, JobCancelled, JobDead, Retry
from headrace.engine import Tx
from headrace.errors import OutcomeUnknown
from headrace.ids import Ids
from headrace.pools.tasks import TaskPool
from headrace.pools.threads import ThreadPool
from headrace.record import State
from headrace.reply import Reply
from headrace.worker import Exit, Pools, Site, Terms, Worker
from headrace.write import Settle, Write
from tests.unit.waiting import until
from tests.unit.worker.stage import TERMS

Make = Callable[..., Worker]


@pytest.fixture
def ends() -> list[Exit]:
    return []


@pytest.fixture
def make(app: App, ends: list[Exit]) -> Iterator[Make]:
    made: list[Worker] = []
    before = set(threading.enumerate())

    def worker(**terms: Any) -> Worker:
        site = Site(
            engine=app.engine,
            terms=Terms(**{**TERMS, "holder": app.ids.nonce(), **terms}),
            clock=app.clock,
            ids=Ids(),
            telemetry=app.telemetry,
            ended=ends.append,
        )
        pools = Pools(TaskPool(50), ThreadPool(8))
        made.append(Worker(app.registry, app.intake, pools, site, app.middleware))
        made[-1].start()
        return made[-1]

    yield worker
    for each in made:
        each.stop()
    app.close()
    until(lambda: set(threading.enumerate()) <= before, f"an end of {threading.enumerate()}")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for threads that will not end."""
    monkeypatch.setattr("headrace.pools.threads._STOP_SECONDS", 0.05)
    monkeypatch.setattr("headrace.worker.worker._INTERRUPTED_SECONDS", 0.05)


def test_tasks_of_both_kinds_run_and_give_results(app: App, make: Make) -> None:
    @app.task
    def plain(n: int) -> int:
        return n + 1

    @app.task
    async def coroutine(n: int) -> int:
        await asyncio.sleep(0)
        return n + 2

    worker = make()
    jobs = app.submit([t.call(n) for n in range(300) for t in (plain, coroutine)])
    assert [job.result(30) for job in jobs] == [n + more for n in range(300) for more in (1, 2)]
    until(lambda: worker.settled == 600, "everything to be settled")
    assert worker.held == []


def test_a_failed_job_is_tried_again_and_then_dead(app: App, make: Make) -> None:
    attempts: list[int] = []

    @app.task(retry=Retry(attempts=3, delay=0, jitter=0))
    def fail(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ValueError("no luck")

    make()
    with pytest.raises(JobDead, match="no luck") as caught:
        fail.submit().result(30)
    assert attempts == [1, 2, 3]
    assert "in fail" in caught.value.traceback


def test_a_slow_job_holds_up_no_other(app: App, make: Make) -> None:
    free = threading.Event()

    @app.task
    def slow() -> None:
        assert free.wait(30)

    @app.task
    def quick(n: int) -> int:
        return n

    make()
    held = app.submit([slow.call() for _ in range(7)])
    jobs = app.submit([quick.call(n) for n in range(100)])
    assert [job.result(30) for job in jobs] == list(range(100))
    free.set()
    for job in held:
        job.result(30)


def test_a_coroutine_is_cancelled_at_its_timeout(app: App, make: Make) -> None:
    @app.task(timeout=0.05, retry=Retry(attempts=1))
    async def sleep() -> None:
        await asyncio.sleep(3600)

    make()
    with pytest.raises(JobDead, match=r"timeout of 0\.05 s"):
        sleep.submit().result(30)


def test_a_thread_is_asked_to_end_at_its_timeout(app: App, make: Make) -> None:
    @app.task(timeout=0.05, retry=Retry(attempts=1))
    def spin(ctx: Context) -> None:
        while True:
            ctx.check()
            time.sleep(0.001)

    make()
    with pytest.raises(JobDead, match=r"timeout of 0\.05 s"):
        spin.submit().result(30)


def test_a_running_job_can_be_cancelled(app: App, make: Make) -> None:
    begun = threading.Event()

    @app.task
    async def sleep() -> None:
        begun.set()
        await asyncio.sleep(3600)

    make(lease=1.0)
    job = sleep.submit()
    assert begun.wait(30)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result(30)


def test_a_stop_hands_back_what_has_not_begun(app: App, make: Make) -> None:
    begun, free = threading.Event(), threading.Event()

    @app.task
    def wait(n: int) -> int:
        begun.set()
        assert free.wait(30)
        return n

    worker = make()
    jobs = app.submit([wait.call(n) for n in range(40)])
    assert begun.wait(30)
    until(lambda: len(worker.held) >= 8, "the threads to be busy")
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    time.sleep(0.05)
    free.set()
    stopper.join(30)
    assert worker.held == []
    records = [job.refresh() for job in jobs]
    assert {record.state for record in records} <= {State.SUCCEEDED, State.READY}
    assert all(record.attempt == (record.state is State.SUCCEEDED) for record in records)
    assert all(record.lost == 0 for record in records)


def test_a_stop_hands_back_coroutines_after_the_grace(app: App, make: Make) -> None:
    begun = threading.Event()

    @app.task
    async def sleep() -> None:
        begun.set()
        await asyncio.sleep(3600)

    worker = make(grace=0.05)
    job = sleep.submit()
    assert begun.wait(30)
    assert worker.stop()
    record = job.refresh()
    assert (record.state, record.attempt, record.lost) == (State.READY, 0, 0)


def test_hurrying_ends_the_grace(app: App, make: Make) -> None:
    begun = threading.Event()

    @app.task
    async def sleep() -> None:
        begun.set()
        await asyncio.sleep(3600)

    worker = make(grace=3600.0)
    job = sleep.submit()
    assert begun.wait(30)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    worker.hurry()
    stopper.join(30)
    assert not stopper.is_alive()
    assert job.refresh().state is State.READY


def test_nobody_waits_for_outcomes_that_cannot_be_written_any_more(
    app: App, make: Make, ends: list[Exit], monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    def quick() -> None: ...

    app.open()
    apply = app.engine.apply

    def lose(write: Write[Any], tx: Tx | None = None) -> Reply[Any]:
        if isinstance(write, Settle):
            return Reply.failed(OutcomeUnknown("the disk failed"))
        return apply(write, tx)

    monkeypatch.setattr(app.engine, "apply", lose)
    worker = make(grace=3600.0)
    job = quick.submit()
    until(lambda: ends, "the worker to end")
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    stopper.join(20)
    waits = stopper.is_alive()
    worker.hurry()
    stopper.join(30)
    assert not waits
    assert worker.held == [job.id]


@pytest.mark.parametrize("exiting", [False, True])
@pytest.mark.usefixtures("impatient")
def test_a_thread_is_handed_back_only_if_the_process_ends(
    app: App, make: Make, *, exiting: bool
) -> None:
    begun, free = threading.Event(), threading.Event()

    @app.task
    def wait() -> None:
        begun.set()
        assert free.wait(30)

    worker = make(grace=0.01)
    job = wait.submit()
    assert begun.wait(30)
    assert not worker.stop(exiting=exiting)
    assert job.refresh().state is (State.READY if exiting else State.RUNNING)
    free.set()


@pytest.mark.usefixtures("impatient")
def test_a_thread_is_handed_back_last_of_all(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free, order = threading.Event(), threading.Event(), list[str]()

    @app.task
    def wait() -> None:
        begun.set()
        assert free.wait(30)

    worker = make(grace=0.01)
    wait.submit()
    assert begun.wait(30)
    apply, stop = app.engine.apply, worker._pools.threads.stop

    def note(write: Write[Any], tx: Tx | None = None) -> Reply[Any]:
        if isinstance(write, Settle):
            order.append("handed back")
        return apply(write, tx)

    def note_stop() -> bool:
        order.append("pool stopped")
        return stop()

    monkeypatch.setattr(app.engine, "apply", note)
    monkeypatch.setattr(worker._pools.threads, "stop", note_stop)
    assert not worker.stop(exiting=True)
    assert order == ["pool stopped", "handed back"]
    free.set()


@pytest.mark.usefixtures("impatient")
def test_a_thread_that_outlives_its_timeout_ends_the_worker(
    app: App, make: Make, ends: list[Exit]
) -> None:
    free = threading.Event()

    @app.task(timeout=0.05)
    def deaf() -> None:
        assert free.wait(30)

    worker = make(grace=0.05)
    job = deaf.submit()
    until(lambda: ends, "the worker to end")
    assert ends[0] is Exit.STUCK
    assert not worker.stop(exiting=True)
    # Never declared finished, nor handed back: only the end of its lease frees it.
    assert job.refresh().state is State.RUNNING
    free.set()


def test_a_worker_stops_before_it_is_started_and_twice(app: App) -> None:
    site = Site(
        engine=app.engine,
        terms=Terms(**TERMS),
        clock=app.clock,
        ids=Ids(),
        telemetry=app.telemetry,
        ended=lambda _: None,
    )
    worker = Worker(app.registry, app.intake, Pools(TaskPool(1), ThreadPool(1)), site)
    assert worker.stop()
    assert worker.stop()
