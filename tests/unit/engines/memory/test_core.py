"""One step at a time, all or nothing, for everybody who calls."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.engines.memory.core import Core
from headrace.errors import EngineClosed
from headrace.ids import Ids
from headrace.testing import ManualClock
from headrace.testing.steps import job_id, message
from headrace.write import PauseQueue, Put, Send


@pytest.fixture
def core() -> Core:
    clock = ManualClock()
    core = Core(clock, Ids(clock, seed=1))
    core.open()
    return core


def test_a_step_that_fails_leaves_nothing_and_tells_why(core: Core) -> None:
    def fail() -> None:
        core.write([Send((message("a"),)), Put("k", b""), PauseQueue("q")])
        raise ZeroDivisionError

    assert isinstance(core.run(fail).error, ZeroDivisionError)
    assert core.jobs.get(job_id("a")) is None
    assert core.entries.load("k", 0.0) is None
    assert core.jobs.lines() == []


def test_a_rehearsal_answers_and_leaves_nothing(core: Core) -> None:
    (answer,) = core.run(lambda: core.rehearse([Put("k", b"")])).wait(0)
    assert answer.version == 1
    assert core.entries.load("k", 0.0) is None


def test_a_closed_core_lets_nobody_in(core: Core) -> None:
    core.close()
    assert isinstance(core.run(lambda: 1).error, EngineClosed)
    core.open()
    assert core.run(lambda: 1).wait(0) == 1


def test_steps_do_not_overlap(core: Core) -> None:
    inside = threading.Semaphore(1)

    def step() -> None:
        assert inside.acquire(blocking=False)
        inside.release()

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: core.run(step), range(500)))
    assert [reply.error for reply in replies] == [None] * 500


def test_hints_are_given_when_the_lock_is_free(core: Core) -> None:
    seen: list[object] = []
    core.watch("stored", lambda: seen.append(core.run(lambda: 7).wait(0)))
    core.run(lambda: core.write([Put("k", b"")]))
    assert seen == [7]


def test_a_step_that_was_undone_disturbs_no_later_one(core: Core) -> None:
    core.run(lambda: core.write([Send((message("a", delay=5.0),))]))
    core.run(lambda: core.rehearse([Send((message("b"),)), PauseQueue("default")]))
    (status,) = core.run(lambda: [core.jobs.line("default").status(0.0, 0.0)]).wait(0)
    assert (status.scheduled, status.ready, status.paused) == (1, 0, False)
