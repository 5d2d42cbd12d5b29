"""A job tells what became of it, to blocking and to awaiting callers alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.app import App
from headrace.errors import (
    BlockingCall,
    JobCancelled,
    JobDead,
    JobNotFound,
    ResultTimeout,
    UsageError,
)
from headrace.job import Job, Progress, progress_key
from headrace.record import State
from headrace.task import Task
from headrace.write import PurgeJobs, Put
from tests.unit.running import claim, run_all, settle

Divide = Task[[int, int], float, Any]


@pytest.fixture
def divide(app: App) -> Divide:
    @app.task
    def divide(a: int, b: int) -> float:
        return a / b

    return divide


@pytest.fixture
def job(divide: Divide) -> Job[float]:
    return divide.submit(1, 2)


@pytest.fixture
def doomed(app: App, divide: Divide) -> Job[float]:
    doomed = divide.submit(1, 0)
    run_all(app)
    return doomed


def both(blocking: Callable[[], Any], awaiting: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Return what both kinds of callers get: values or errors."""

    async def run() -> Any:
        return await awaiting()

    got = []
    for call in (blocking, lambda: asyncio.run(run())):
        try:
            got.append(call())
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            got.append(error)
    return got


def test_the_state_is_the_present_one(app: App, job: Job[float]) -> None:
    assert job.state == "ready"
    assert repr(job) == f"<Job {job.id}>"
    run_all(app)
    assert job.state == "succeeded"
    assert job.result() == 0.5
    assert repr(job) == f"<Job {job.id} succeeded>"


def test_the_result_is_typed_by_the_task(app: App, job: Job[float]) -> None:
    run_all(app)
    assert both(lambda: job.result(10), lambda: job.aresult(10)) == [0.5, 0.5]
    assert both(job.result, lambda: job) == [0.5, 0.5]


def test_many_wait_for_one_result(app: App, job: Job[float]) -> None:
    results: list[float] = []
    threads = [threading.Thread(target=lambda: results.append(job.result(10))) for _ in range(5)]
    for thread in threads:
        thread.start()
    run_all(app)
    for thread in threads:
        thread.join(10)
    assert results == [0.5] * 5


def test_a_late_result_is_told_with_the_present_state(app: App, job: Job[float]) -> None:
    claim(app)
    for error in both(lambda: job.result(0.01), lambda: job.aresult(0.01)):
        assert isinstance(error, ResultTimeout)
        assert isinstance(error, TimeoutError)
        assert (error.job_id, error.state) == (job.id, "running")
        assert "not finished after 0.01 s: it is running" in str(error)
    assert app.intake.watcher._waiting == {}


def test_giving_up_by_cancelling_leaves_nothing_behind(app: App, job: Job[float]) -> None:
    async def give_up() -> None:
        waiting = asyncio.ensure_future(job.aresult())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(give_up())
    assert app.intake.watcher._waiting == {}


def test_a_dead_job_raises_with_its_cause(doomed: Job[float]) -> None:
    for error in both(lambda: doomed.result(10), lambda: doomed.aresult(10)):
        assert isinstance(error, JobDead)
        assert (error.job_id, error.cause) == (doomed.id, "attempts-spent")
        assert error.traceback == "the traceback"
        assert "division by zero" in str(error)
        assert f"headrace dead redrive {doomed.id}" in str(error)
        assert "the traceback" in error.__notes__[0]


def test_cancelling_a_waiting_job_ends_it(job: Job[float]) -> None:
    assert job.cancel("not wanted")
    assert both(job.cancel, job.acancel) == [True, True]
    for error in both(lambda: job.result(10), lambda: job.aresult(10)):
        assert isinstance(error, JobCancelled)
        assert error.cause == "cancelled"
        assert "not wanted" in str(error)


def test_any_reason_for_cancelling_can_be_stored(job: Job[float]) -> None:
    assert job.cancel("caf\udce9.txt")
    failure = job.refresh().failure
    assert failure is not None
    assert failure.message == "caf?.txt"


def test_cancelling_a_running_job_asks_for_it(app: App, job: Job[float]) -> None:
    claim(app)
    assert job.cancel()
    assert job.refresh().cancel_asked


def test_cancelling_comes_too_late_for_a_finished_job(app: App, job: Job[float]) -> None:
    run_all(app)
    assert both(job.cancel, job.acancel) == [False, False]


def test_refreshing_gives_the_record(app: App, job: Job[float]) -> None:
    unasked = job.record
    assert unasked is None
    assert job.refresh().state == "ready"
    run_all(app)
    assert job.record is not None
    assert job.record.state == "ready"
    assert [record.state for record in both(job.refresh, job.arefresh)] == ["succeeded"] * 2
    assert job.state == "succeeded"


def test_a_pruned_job_is_not_found(app: App, job: Job[float]) -> None:
    run_all(app)
    app.engine.apply(PurgeJobs((job.id,))).wait(5)
    calls: list[tuple[Callable[[], Any], Callable[[], Awaitable[Any]]]] = [
        (lambda: job.result(10), lambda: job.aresult(10)),
        (job.refresh, job.arefresh),
        (job.cancel, job.acancel),
        (lambda: job.state, job.arefresh),
    ]
    for blocking, awaiting in calls:
        for error in both(blocking, awaiting):
            assert isinstance(error, JobNotFound)
            assert job.id in str(error)


def test_progress_is_what_was_last_told(app: App, job: Job[float]) -> None:
    assert both(job.progress, job.aprogress) == [None, None]
    value = b'{"done":3,"total":12,"note":"april"}'
    app.engine.apply(Put(progress_key(job.id), value)).wait(5)
    assert both(job.progress, job.aprogress) == [Progress(3, 12, "april")] * 2


def test_a_callback_is_called_once(app: App, job: Job[float]) -> None:
    called = threading.Event()
    results: list[float] = []

    def callback(done: Job[float]) -> None:
        results.append(done.result())
        called.set()

    job.add_done_callback(callback)
    run_all(app)
    assert called.wait(10)
    called.clear()
    job.add_done_callback(callback)
    assert called.is_set()  # finished: called at once
    assert results == [0.5, 0.5]


def test_a_callback_that_fails_is_logged_and_the_others_called(
    app: App, job: Job[float], caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()

    def fail(done: Job[float]) -> None:
        raise ZeroDivisionError(done)

    job.add_done_callback(fail)
    job.add_done_callback(lambda _: called.set())
    run_all(app)
    assert called.wait(10)
    assert "the callback <function" in caplog.text


def test_a_callback_must_not_wait_for_another_job(
    app: App, divide: Divide, job: Job[float]
) -> None:
    other = divide.submit(1, 1)
    errors: list[Exception] = []
    called = threading.Event()

    def wait(_: Job[float]) -> None:
        try:
            other.result()
        except UsageError as error:
            errors.append(error)
        called.set()

    job.add_done_callback(wait)
    lease = next(lease for lease in claim(app) if lease.job_id == job.id)
    settle(app, lease, State.CANCELLED)
    assert called.wait(10)
    assert "must not wait" in str(errors[0])


def test_a_callback_of_a_pruned_job_is_called(app: App, job: Job[float]) -> None:
    run_all(app)
    app.engine.apply(PurgeJobs((job.id,))).wait(5)
    called = threading.Event()
    job.add_done_callback(lambda _: called.set())
    assert called.wait(10)


def test_a_callback_is_not_called_when_the_app_closes_first(
    app: App, job: Job[float], caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()
    job.add_done_callback(lambda _: called.set())
    app.close()
    assert not called.is_set()
    assert "its callback is not called" in caplog.text


def test_blocking_methods_name_their_twins(job: Job[float]) -> None:
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: job.state, r"arefresh\(\)\)\.state"),
        (job.result, "aresult"),
        (job.cancel, "acancel"),
        (job.refresh, "arefresh"),
        (job.progress, "aprogress"),
    ]

    async def on_loop(call: Callable[[], Any]) -> None:
        call()

    for call, twin in calls:
        with pytest.raises(BlockingCall, match=twin):
            asyncio.run(on_loop(call))


def test_jobs_are_equal_by_id(app: App, job: Job[float]) -> None:
    assert app.job(job.id) == job
    assert len({app.job(job.id), job}) == 1
    assert job != job.id
