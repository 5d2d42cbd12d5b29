"""Coroutines run side by side on a loop of their own, as many as there are slots."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from headrace.pools.tasks import TaskPool
from tests.unit.pools.acting import Actor, headrace_threads
from tests.unit.waiting import until

Run = Callable[[], Any]


class Case:
    """A pool of three slots, and who performs its runs."""

    def __init__(self) -> None:
        self.pool: TaskPool[Run] = TaskPool(3)
        self.actor = Actor()
        self.pool.start(self.actor, self.actor.ask)


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    assert case.pool.stop()
    assert not headrace_threads()


def sleeper() -> Run:
    async def sleep() -> None:
        await asyncio.sleep(3600)

    return sleep


def nothing() -> Run:
    async def end() -> None: ...

    return end


def test_runs_begin_in_order_and_end(case: Case) -> None:
    runs = [nothing() for _ in range(50)]
    case.pool.submit(runs)
    until(lambda: len(case.actor.ended) == 50, "all runs")
    assert case.actor.begun == runs
    until(lambda: case.pool.running == 0, "none to run")
    assert case.pool.waiting == 0


def test_no_more_run_than_there_are_slots(case: Case) -> None:
    case.pool.submit([sleeper() for _ in range(5)])
    until(lambda: case.pool.running == 3, "three to run")
    assert case.pool.waiting == 2


def test_what_waits_can_be_taken_back(case: Case) -> None:
    runs = [sleeper() for _ in range(5)]
    case.pool.submit(runs)
    until(lambda: case.pool.running == 3, "three to run")
    assert case.pool.withdraw() == runs[3:]
    assert case.pool.waiting == 0


def test_an_interrupted_run_ends_and_frees_its_slot(case: Case) -> None:
    runs = [sleeper() for _ in range(4)]
    case.pool.submit(runs)
    until(lambda: len(case.actor.begun) == 3, "three to run")
    case.pool.interrupt(runs[1])
    until(lambda: case.actor.ended, "it to end")
    assert case.actor.ended == [runs[1]]
    until(lambda: len(case.actor.begun) == 4, "the next one to begin")


def test_a_run_that_is_interrupted_as_it_begins_enters_its_coroutine(case: Case) -> None:
    blocked, free = threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        assert free.wait(30)

    case.pool.submit([block])
    assert blocked.wait(30)
    run = sleeper()
    case.pool.submit([run])
    case.pool.interrupt(run)  # both reach the loop in one go
    free.set()
    until(lambda: run in case.actor.ended, "the run to end")


def test_interrupting_what_has_ended_changes_nothing(case: Case) -> None:
    run = nothing()
    case.pool.submit([run])
    until(lambda: case.pool.running == 0 and case.actor.ended, "it to end")
    case.pool.interrupt(run)


def test_it_asks_for_more_before_it_runs_dry(case: Case) -> None:
    case.pool.submit([sleeper() for _ in range(3)])
    until(lambda: case.actor.hungry == 1, "it to ask")
    case.pool.submit([nothing() for _ in range(8)])
    assert case.actor.hungry == 1
    case.pool.interrupt(case.actor.begun[0])
    until(lambda: len(case.actor.ended) == 9, "the others")
    assert case.actor.hungry >= 2


def test_context_variables_do_not_leak_from_run_to_run(case: Case) -> None:
    seen: list[str] = []
    variable: ContextVar[str] = ContextVar("variable", default="clean")

    def looker() -> Run:
        async def look() -> None:
            seen.append(variable.get())
            variable.set("dirty")
            await asyncio.sleep(0)

        return look

    case.pool.submit([looker() for _ in range(9)])  # so that some follow others
    until(lambda: len(seen) == 9, "all runs")
    assert set(seen) == {"clean"}


def test_a_run_is_a_task_from_its_first_step(case: Case) -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def hurry() -> None:
        tasks.append(asyncio.current_task())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(3600)
        tasks.append(asyncio.current_task())

    case.pool.submit([hurry])
    until(lambda: case.actor.ended, "it to end")
    assert tasks[0] is not None
    assert tasks[0] is tasks[1]


def test_runs_that_never_wait_leave_others_their_turn(case: Case) -> None:
    begun: list[int] = []

    async def first() -> None:
        asyncio.get_running_loop().call_soon(lambda: begun.append(len(case.actor.begun)))

    case.pool.submit([first, *(nothing() for _ in range(99))])
    until(lambda: len(case.actor.ended) == 100, "all runs")
    assert begun[0] <= 2 * case.pool.slots


def test_a_stop_ends_what_runs_left_behind() -> None:
    case = Case()
    left: list[asyncio.Task[None]] = []

    async def leave() -> None:
        left.append(asyncio.create_task(asyncio.sleep(3600)))

    case.pool.submit([leave])
    until(lambda: left, "a task to be left")
    assert case.pool.stop()
    assert left[0].cancelled()
    assert case.pool.stop()


def stopper() -> Run:
    async def stop() -> None:
        asyncio.get_running_loop().stop()

    return stop


def quitter() -> Run:
    async def leave() -> None:
        raise SystemExit(3)

    async def leave_later() -> None:
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, leave())

    return leave_later


@pytest.mark.parametrize("guilty", [stopper, quitter])
def test_a_run_that_ends_the_loop_ends_nothing_else(
    case: Case, guilty: Callable[[], Run], caplog: pytest.LogCaptureFixture
) -> None:
    free = asyncio.Event()
    innocent = free.wait
    case.pool.submit([innocent, guilty()])
    until(lambda: len(case.actor.ended) == 1, "the guilty one")
    case.pool.submit([nothing()])
    until(lambda: len(case.actor.ended) == 2, "another one")
    assert innocent not in case.actor.ended
    case.pool._call(free.set)
    until(lambda: innocent in case.actor.ended, "the innocent one")
    assert ("it goes on" in caplog.text) is (guilty is quitter)
