"""Claims become runs in the right pool; what may not run here goes back."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace import App
from headrace.errors import EngineBusy, EngineClosed
from headrace.record import State
from headrace.worker import Exit, Pools
from headrace.worker.fetcher import Fetcher
from headrace.worker.heartbeat import Heartbeat
from headrace.worker.leases import Leases
from headrace.worker.recipes import Recipes
from headrace.worker.settler import Settler
from tests.unit.waiting import until
from tests.unit.worker.stage import FakePool, Stage, a_run, lease


class Case:
    """A fetcher on a stage, with two pools that only keep what they get."""

    def __init__(self, app: App, **terms: Any) -> None:
        self.stage = Stage(**terms)
        self.engine = self.stage.engine
        self.leases = Leases()
        self.settler = Settler(self.stage.site, self.leases)
        self.threads, self.tasks = FakePool(), FakePool()
        pools = Pools(self.tasks, self.threads)
        self.heartbeat = Heartbeat(self.stage.site, self.leases)
        self.fetcher = Fetcher(
            self.stage.site,
            Recipes(app.registry, pools, (), 1000),
            pools,
            heartbeat=self.heartbeat,
            leases=self.leases,
            settler=self.settler,
        )

    def released(self) -> list[str]:
        settlements = self.engine.settlements()
        assert all(s.to is State.READY and not s.counted for s in settlements)
        return [s.lease.job_id for s in settlements]


@pytest.fixture
def make(app: App) -> Iterator[Callable[..., Case]]:
    @app.task(timeout=60)
    def double(n: int) -> int:
        return 2 * n

    @app.task
    async def adouble(n: int) -> int:
        return 2 * n

    made: list[Case] = []

    def case(**terms: Any) -> Case:
        made.append(Case(app, **terms))
        return made[-1]

    yield case
    for each in made:
        each.fetcher.stop()


def test_runs_go_to_the_pool_of_their_task(make: Callable[..., Case]) -> None:
    case = make()
    limited, unlimited = lease(3, timeout=5.0), lease(4, timeout=0.0)
    case.engine.claims = [(lease(1), lease(2, task="adouble"), limited, unlimited)]
    case.fetcher.start()
    until(lambda: len(case.leases) == 4, "the runs")
    until(lambda: case.tasks.runs and len(case.threads.runs) == 3, "the pools to get them")
    assert [run.job_id for run in case.threads.runs] == ["job-1", "job-3", "job-4"]
    assert [run.job_id for run in case.tasks.runs] == ["job-2"]
    assert [run.timeout for run in case.threads.runs] == [60, 5, None]


def test_our_deadline_counts_from_before_the_claim(make: Callable[..., Case]) -> None:
    case = make()
    case.engine.claims = [(lease(1), lease(2, lease=10.0))]
    sent = case.stage.clock.monotonic()
    case.fetcher.start()
    until(lambda: len(case.threads.runs) == 2, "the runs")
    assert [run.lease_until for run in case.threads.runs] == [sent + 27, sent + 9]


@pytest.mark.parametrize(("seconds", "wait"), [(30.0, 1.0), (2.0, 0.2)])
def test_a_claim_does_not_wait_until_its_lease_is_nearly_over(
    make: Callable[..., Case], seconds: float, wait: float
) -> None:
    case = make(lease=seconds, poll=1.0)
    case.fetcher.start()
    until(lambda: case.engine.waits, "a claim")
    assert case.engine.waits[0] == wait


def test_no_more_is_claimed_than_there_is_room(make: Callable[..., Case]) -> None:
    case = make()
    jobs = [lease(number) for number in range(20)]
    case.engine.claims = [tuple(jobs[:10]), tuple(jobs[10:])]
    case.fetcher.start()
    until(lambda: len(case.threads.runs) == 20, "the runs, and those that may begin soon")
    case.fetcher.stop()
    assert case.engine.limits == [10, 10]


def test_what_slow_runs_keep_waiting_is_handed_back(make: Callable[..., Case]) -> None:
    case = make()
    jobs = [lease(number) for number in range(20)]
    case.engine.claims = [tuple(jobs[:10]), tuple(jobs[10:])]
    case.fetcher.start()
    until(lambda: len(case.threads.runs) == 20, "the runs")
    case.threads.running = case.tasks.running = 10
    del case.threads.runs[:10]  # those begin, and go on and on
    case.stage.clock.advance(1)
    until(lambda: len(case.released()) == 10, "the others to be handed back")
    assert case.released() == [f"job-{number}" for number in range(10, 20)]


def test_nothing_is_claimed_while_outcomes_cannot_be_written(make: Callable[..., Case]) -> None:
    case = make()
    case.settler.stuck = True
    case.fetcher.start()
    case.fetcher.stop()
    assert case.engine.limits == []


def test_a_busy_engine_is_asked_again(make: Callable[..., Case]) -> None:
    case = make()
    case.engine.refusals = [EngineBusy("locked")]
    case.fetcher.start()
    until(lambda: len(case.engine.limits) > 1, "a second claim")
    assert case.stage.ends == []


def test_a_failed_engine_ends_the_worker(make: Callable[..., Case]) -> None:
    case = make()
    case.engine.refusals = [EngineClosed("gone")]
    case.fetcher.start()
    until(lambda: case.stage.ends, "the worker to end")
    assert case.stage.ends[0] is Exit.ENGINE


def test_a_worker_that_has_done_enough_ends(make: Callable[..., Case]) -> None:
    case = make(most_jobs=3)
    case.engine.claims = [tuple(lease(number) for number in range(3))]
    case.fetcher.start()
    until(lambda: case.stage.ends, "the worker to end")
    case.fetcher.wake()
    case.fetcher.stop()
    assert case.stage.ends == [Exit.RECYCLED]
    assert case.engine.limits == [3]


def test_a_worker_that_is_too_large_from_the_beginning_says_so(
    make: Callable[..., Case], caplog: pytest.LogCaptureFixture
) -> None:
    case = make(most_mib=1)
    case.fetcher.start()
    until(lambda: case.stage.ends, "the worker to end")
    case.fetcher.stop()
    assert case.stage.ends == [Exit.USAGE]
    assert case.engine.limits == []
    assert "--max-memory 1 is no more than the" in caplog.text


def test_jobs_that_complete_by_themselves_are_counted_and_others_are_not(
    make: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.worker.fetcher._IDLE_LOOKS", 1)
    case = make(most_jobs=3)
    case.leases.hold([a_run(9)])
    case.engine.claims = [(lease(1, lost=1),), (lease(2),), (lease(3),), (lease(4),)]
    case.fetcher.start()
    until(lambda: len(case.threads.runs) == 3, "the jobs")
    case.leases.drop(case.threads.runs)  # as a transaction of the run's own settles it
    until(lambda: case.stage.ends, "the worker to end")
    assert case.stage.ends == [Exit.RECYCLED]
    assert case.engine.limits == [3, 3, 2, 1]


def test_what_has_not_begun_is_handed_back_at_the_end(make: Callable[..., Case]) -> None:
    case = make()
    case.engine.claims = [(lease(1), lease(2))]
    case.fetcher.start()
    until(lambda: len(case.threads.runs) == 2, "the runs")
    case.fetcher.stop()
    assert case.released() == ["job-1", "job-2"]
    assert len(case.leases) == 0


def test_what_a_claim_brings_after_the_end_is_handed_back(make: Callable[..., Case]) -> None:
    case = make()
    asked, stopped = threading.Event(), threading.Event()
    claim = case.engine.lease

    def slow(*args: Any, **kwargs: Any) -> Any:
        asked.set()
        assert stopped.wait(30)
        return claim(*args, **kwargs)

    case.engine.lease = slow  # type: ignore[method-assign] # a claim that takes long
    case.engine.claims = [(lease(1),)]
    case.fetcher.start()
    assert asked.wait(30)
    stopper = threading.Thread(target=case.fetcher.stop)
    stopper.start()
    until(lambda: case.fetcher._stopping, "the stop to begin")
    stopped.set()
    stopper.join(30)
    assert case.released() == ["job-1"]
    assert case.threads.runs == []


def test_a_job_that_lost_a_lease_runs_alone(
    make: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.worker.fetcher._IDLE_LOOKS", 1000)
    case = make()
    running = a_run(9)
    case.leases.hold([running])
    case.threads.runs = [a_run(8)]
    case.leases.hold(case.threads.runs)
    case.engine.claims = [(lease(1, lost=1),), (lease(2),)]
    case.fetcher.start()
    until(lambda: case.released() == ["job-8"], "what has not begun to be handed back")
    assert case.threads.runs == []
    case.leases.drop([running])
    until(lambda: case.threads.runs, "the job to begin")
    (alone,) = case.threads.runs
    assert alone.job_id == "job-1"
    assert len(case.engine.limits) == 1
    case.leases.drop([alone])
    until(lambda: len(case.threads.runs) == 2, "other jobs to be claimed again")


def test_a_job_that_is_to_run_alone_is_put_off_while_others_run(
    make: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.worker.fetcher._IDLE_LOOKS", 1)
    case = make()
    running = a_run(9)
    case.leases.hold([running])
    case.engine.claims = [(lease(1, lost=1),), (lease(2),), (lease(3, lost=1),)]
    case.fetcher.start()
    until(lambda: len(case.engine.settlements()) == 2, "both suspects to be put off")
    for put_off in case.engine.settlements():
        assert (put_off.to, put_off.counted) == (State.SCHEDULED, False)
        assert 2 <= put_off.delay <= 4
    assert [run.job_id for run in case.threads.runs] == ["job-2"]
    for run in (running, *case.threads.runs):
        case.leases.drop([run])
    case.threads.runs = []
    case.engine.claims = [(lease(1, lost=1),)]
    until(lambda: case.threads.runs, "it to run as soon as nothing else does")


def test_a_process_that_is_busy_does_not_stop_for_every_suspect(
    make: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.worker.fetcher._IDLE_LOOKS", 1)
    case = make()
    case.leases.hold([a_run(9)])
    case.engine.claims = [(lease(1, lost=1),), (lease(2),), (lease(3, lost=1),)]
    case.fetcher.start()
    until(lambda: len(case.engine.settlements()) == 2, "both suspects to be put off")
    assert [run.job_id for run in case.threads.runs] == ["job-2"]  # not handed back for the second
    case.stage.clock.advance(6)
    case.engine.claims = [(lease(4, lost=1),)]
    until(lambda: len(case.engine.settlements()) == 4, "the third to be put off, after a try")
    assert case.threads.runs == []


def test_a_job_that_waits_to_run_alone_is_handed_back_at_the_end(
    make: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.worker.fetcher._IDLE_LOOKS", 1000)
    case = make()
    case.leases.hold([a_run(9)])
    case.engine.claims = [(lease(1, lost=2),)]
    case.fetcher.start()
    until(lambda: len(case.leases) == 2, "the claim")
    case.fetcher.stop()
    assert case.released() == ["job-1"]
