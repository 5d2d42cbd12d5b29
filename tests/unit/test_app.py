"""An App accepts calls, finds jobs, and opens and closes its engine as it is used."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from headrace.app import App
from headrace.engines.memory import MemoryEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import (
    BlockingCall,
    DuplicateJob,
    EngineClosed,
    JobNotFound,
    OutcomeUnknown,
    QueueFull,
    UnknownTask,
)
from headrace.ids import Ids
from headrace.record import QueueLimits, State
from headrace.reply import Reply
from headrace.task import Task
from headrace.testing.clock import ManualClock
from tests.unit.running import run_all

Echo = Task[[int], int, Any]


def make_echo(app: App) -> Echo:
    @app.task
    def echo(n: int) -> int:
        return n

    return echo


@pytest.fixture
def echo(app: App) -> Echo:
    return make_echo(app)


def test_a_batch_is_accepted_in_order(app: App, echo: Echo) -> None:
    jobs = app.submit(echo.call(n) for n in range(10))
    assert run_all(app) == 10
    assert [job.result(10) for job in jobs] == list(range(10))


def test_a_batch_is_accepted_by_an_awaiting_caller(app: App, echo: Echo) -> None:
    async def submit() -> list[int]:
        jobs = await app.asubmit([echo.call(n) for n in range(10)])
        await asyncio.to_thread(run_all, app)
        return list(await asyncio.gather(*jobs))

    assert asyncio.run(submit()) == list(range(10))


def test_a_batch_is_accepted_as_a_whole_or_not_at_all(app: App, echo: Echo) -> None:
    unique = echo.using(unique_key="one")
    with pytest.raises(DuplicateJob):
        app.submit([echo.call(1), unique.call(2), unique.call(3)])
    assert run_all(app) == 0


def test_an_empty_batch_is_no_commit(app: App) -> None:
    assert app.submit([]) == []
    assert asyncio.run(app.asubmit([])) == []


def test_a_transaction_makes_jobs_when_it_commits(app: App, echo: Echo) -> None:
    tx = app.engine.begin()
    [job] = app.submit([echo.call(1)], tx=tx)
    other = echo.using(tx=tx).submit(2)
    with pytest.raises(JobNotFound):
        job.refresh()
    tx.commit().wait(5)
    assert {job.state, other.state} == {State.READY}


def test_a_job_is_found_by_its_id(app: App, echo: Echo) -> None:
    job = echo.submit(7)
    run_all(app)
    found = app.job(job.id)
    assert found == job
    assert found.record is not None
    assert found.record.state is State.SUCCEEDED
    assert found.result() == 7

    async def find() -> Any:
        return await (await app.ajob(job.id))

    assert asyncio.run(find()) == 7


def test_a_job_of_another_program_has_plain_results(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with App(url) as one, App(url) as other:
        job = make_echo(one).submit(7)
        run_all(one)
        assert other.job(job.id).result(10) == 7
        with pytest.raises(UnknownTask):
            other.registry.get("echo")


def test_a_wrong_id_is_told(app: App) -> None:
    with pytest.raises(JobNotFound, match="no job nothing"):
        app.job("nothing")
    with pytest.raises(JobNotFound, match="no job nothing"):
        asyncio.run(app.ajob("nothing"))


def test_two_apps_know_nothing_of_each_other() -> None:
    with App("memory:") as one, App("memory:") as other:
        job = make_echo(one).submit(1)
        with pytest.raises(JobNotFound):
            other.job(job.id)
        make_echo(other)


def test_it_opens_at_the_first_use_and_again_after_closing(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    app = App(f"sqlite:///{file}")
    echo = make_echo(app)
    assert not file.exists()
    job = echo.submit(1)
    assert file.exists()
    app.close()
    app.close()
    assert app.job(job.id).state is State.READY
    app.close()


def test_it_opens_and_closes_for_awaiting_callers(tmp_path: Path) -> None:
    async def use() -> None:
        async with App(f"sqlite:///{tmp_path}/a.db") as app:
            job = await make_echo(app).asubmit(1)
            assert (await job.arefresh()).state is State.READY
        await app.aclose()
        assert (await (await app.ajob(job.id)).arefresh()).state is State.READY
        await app.aclose()

    asyncio.run(use())


def test_threads_may_open_it_together(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/a.db") as app:
        app.close()
        echo = make_echo(app)
        jobs: list[Any] = []
        threads = [threading.Thread(target=lambda: jobs.append(echo.submit(1))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len({job._watcher for job in jobs}) == 1
        assert len(jobs) == 8


@pytest.mark.parametrize("awaiting", [False, True])
def test_a_use_while_it_is_closed_breaks_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, awaiting: bool
) -> None:
    app = App(f"sqlite:///{tmp_path}/a.db", ballast=0)
    echo = make_echo(app)
    echo.submit(1)
    watcher = app.intake.watcher
    close = watcher.close

    def close_slowly() -> None:
        echo.submit(2)  # another thread's
        close()

    monkeypatch.setattr(watcher, "close", close_slowly)
    if awaiting:
        asyncio.run(app.aclose())
    else:
        app.close()
    echo.submit(3)
    assert app.engine.depth().wait(30)[0].ready == 3
    app.close()


def test_after_a_failure_it_is_opened_again_by_word_only(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/a.db", ballast=0)
    echo = make_echo(app)
    job = echo.submit(1)
    engine = app.engine
    assert isinstance(engine, SQLiteEngine)
    for again in (app.open, app.close):
        engine._current()._stop_after(OutcomeUnknown("the disk failed"))
        for _ in range(2):
            with pytest.raises(EngineClosed):
                echo.submit(2)
        again()
        assert app.job(job.id).state is State.READY
    app.close()


def test_closing_ends_the_waiting(app: App, echo: Echo) -> None:
    job = echo.submit(1)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            job.result()
        except EngineClosed as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not app.intake.watcher._waiting:
        thread.join(0.001)
    app.close()
    thread.join(10)
    assert len(errors) == 1


def test_configured_limits_hold() -> None:
    with App("memory:", queues={"default": {"max_depth": 1}}) as app:
        echo = make_echo(app)
        echo.submit(1)
        with pytest.raises(QueueFull):
            echo.submit(2)
        with pytest.raises(QueueFull):
            asyncio.run(echo.asubmit(2))
        assert app.engine.depth().wait(5)[0].limits == QueueLimits(max_depth=1)


@pytest.mark.parametrize("awaiting", [False, True])
def test_a_submit_waits_for_room(*, awaiting: bool) -> None:
    with App("memory:", queues={"default": {"max_depth": 1}}) as app:
        echo = make_echo(app)
        first = echo.submit(1)
        patient = echo.using(wait=30)
        release = threading.Timer(0.05, lambda: run_all(app))
        release.start()
        job = asyncio.run(patient.asubmit(2)) if awaiting else patient.submit(2)
        release.join(10)
        assert first.result(10) == 1
        assert job.id > first.id


def test_the_engine_s_silence_is_an_unknown_outcome(
    app: App, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.open()
    monkeypatch.setattr(app.engine, "apply", lambda *_: Reply())
    app.config = replace(app.config, deadline=0.01)
    submits: list[Callable[[], Any]] = [
        lambda: echo.submit(1),
        lambda: asyncio.run(echo.asubmit(1)),
    ]
    for submit in submits:
        with pytest.raises(OutcomeUnknown, match=r"app\.job\(id\) tells") as caught:
            submit()
        assert len(caught.value.job_ids) == 1


def test_blocking_methods_name_their_twins(app: App, echo: Echo) -> None:
    async def on_loop(call: Callable[[], Any]) -> None:
        call()

    calls: list[tuple[Callable[[], Any], str]] = [
        (app.open, r"await app\.aopen\(\)"),
        (app.close, r"await app\.aclose\(\)"),
        (lambda: app.submit([]), r"await app\.asubmit\(\.\.\.\)"),
        (lambda: app.job("x"), r"await app\.ajob\(\.\.\.\)"),
        (lambda: echo.submit(1), r"await echo\.asubmit\(\.\.\.\)"),
    ]
    for call, twin in calls:
        with pytest.raises(BlockingCall, match=twin):
            asyncio.run(on_loop(call))


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_URL", "memory:")
    assert repr(App()) == "<App memory: with 0 tasks>"
    assert App("sqlite:///x.db").config.url == "sqlite:///x.db"


def test_a_diverted_app_is_elsewhere_until_the_block_ends(app: App, echo: Echo) -> None:
    kept = echo.submit(1)
    clock, engine = ManualClock(), MemoryEngine()
    engine.open().wait(5)
    with app.diverted(engine, clock, Ids(clock)):
        job = echo.submit(2)
        assert app.engine is engine
        app.close()  # as a program does at its end
        assert app.job(job.id).state is State.READY
        with pytest.raises(JobNotFound):
            app.job(kept.id)
    assert app.job(kept.id).state is State.READY
    assert app.engine is not engine
    engine.close().wait(5)


def test_a_diverted_app_comes_back_after_an_error(app: App) -> None:
    own, engine, clock = app.engine, MemoryEngine(), ManualClock()
    with pytest.raises(ZeroDivisionError), app.diverted(engine, clock, Ids(clock)):
        raise ZeroDivisionError
    assert (app.engine, app.clock is clock) == (own, False)
