"""Functions run on as many threads as help, and one that blocks holds up no other."""

import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from headrace.pools.threads import ThreadPool
from tests.unit.pools.acting import Actor, headrace_threads
from tests.unit.waiting import until

Run = Callable[[], Any]


class Case:
    """A pool, and who performs its runs."""

    def __init__(self, slots: int = 4) -> None:
        self.pool: ThreadPool[Run] = ThreadPool(slots)
        self.actor = Actor()
        self.free = threading.Event()
        self.pool.start(self.actor, self.actor.ask)

    def block(self) -> Run:
        return lambda: self.free.wait(30)


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.free.set()
    case.pool.withdraw()
    assert case.pool.stop()
    assert not headrace_threads()


def is_running(pool: ThreadPool[Run], number: int) -> bool:
    return pool.running == number


def nothing() -> Run:
    return lambda: None


def test_every_run_is_performed_once(case: Case) -> None:
    runs = [nothing() for _ in range(2000)]
    case.pool.submit(runs[:1000])
    case.pool.submit(runs[1000:])
    until(lambda: len(case.actor.ended) == 2000, "all runs")
    assert set(case.actor.begun) == set(runs)
    assert case.pool.running == case.pool.waiting == 0


def test_runs_that_block_get_all_threads(case: Case) -> None:
    case.pool.submit([case.block() for _ in range(6)])
    until(lambda: case.pool.running == 4, "all threads to be busy")
    assert case.pool.waiting == 2


def test_a_run_that_blocks_holds_up_no_other(case: Case) -> None:
    for _ in range(3):
        case.pool.submit([case.block()])
    quick = [nothing() for _ in range(500)]
    case.pool.submit(quick)
    until(lambda: len(case.actor.ended) == 500, "the quick runs")
    assert set(case.actor.ended) == set(quick)


def test_the_tender_is_woken_only_when_something_waits(case: Case) -> None:
    for number in range(1, 5):
        case.pool.submit([case.block()])
        until(partial(is_running, case.pool, number), "it to begin")
        assert not case.pool._work_waits.is_set()
    case.pool.submit([case.block()])
    assert case.pool._work_waits.is_set()


def test_one_more_run_begins_at_once_beside_those_that_block(case: Case) -> None:
    # Whoever wakes a thread here is `submit`, not the tender.
    case.pool._look = lambda: None  # type: ignore[method-assign] # blind it
    for number in range(4):
        case.pool.submit([case.block()])
        until(partial(is_running, case.pool, number + 1), "one more to run")


def test_short_runs_need_few_threads() -> None:
    case = Case(slots=50)
    case.pool.submit([lambda: time.sleep(0.02) for _ in range(500)])
    until(lambda: len(case.actor.ended) == 500, "the slow runs")
    grown = case.pool._useful
    for _ in range(40):
        case.pool.submit([nothing() for _ in range(2000)])
        until(lambda: not case.pool.waiting, "the short runs")
    assert grown > 10
    assert case.pool._useful < grown
    assert case.pool.stop()


def test_what_waits_can_be_taken_back(case: Case) -> None:
    runs = [case.block() for _ in range(6)]
    case.pool.submit(runs)
    until(lambda: case.pool.running == 4, "all threads to be busy")
    assert case.pool.withdraw() == runs[4:]
    assert case.pool.waiting == 0


def test_a_thread_cannot_be_interrupted(case: Case) -> None:
    run = case.block()
    case.pool.submit([run])
    until(lambda: case.pool.running == 1, "it to run")
    case.pool.interrupt(run)
    assert case.pool.running == 1


def test_it_asks_for_more_before_it_runs_dry(case: Case) -> None:
    case.pool.submit([case.block() for _ in range(4)])
    until(lambda: case.pool.running == 4, "all threads to be busy")
    case.pool.submit([nothing() for _ in range(8)])
    assert case.actor.hungry == 0
    case.free.set()
    until(lambda: len(case.actor.ended) == 12, "all runs")
    until(lambda: case.actor.hungry >= 2, "it to ask, half-way and at the end")


def test_context_variables_do_not_leak_from_run_to_run() -> None:
    case = Case(slots=1)
    seen: list[str] = []
    variable: ContextVar[str] = ContextVar("variable", default="clean")

    def look() -> None:
        seen.append(variable.get())
        variable.set("dirty")

    case.pool.submit([look for _ in range(5)])
    until(lambda: len(seen) == 5, "all runs")
    assert set(seen) == {"clean"}
    assert case.pool.stop()


def test_a_stop_leaves_a_thread_behind_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.pools.threads._STOP_SECONDS", 0.05)
    case = Case()
    case.pool.submit([case.block()])
    until(lambda: case.pool.running == 1, "it to run")
    assert not case.pool.stop()
    case.free.set()
    until(lambda: not headrace_threads(), "the thread to end")


def test_it_stops_before_it_is_started() -> None:
    assert ThreadPool[Run](2).stop()
