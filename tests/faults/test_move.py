"""A move between two files is killed at every commit, and each job runs once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Processes
from tests.faults.works import Works, judge


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    with Processes(tmp_path) as processes:
        places = {name: f"sqlite:////{tmp_path / name}.db" for name in ("a", "b")}
        yield Works(tmp_path, processes, places)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_move_is_killed_at_every_commit(works: Works, when: str) -> None:
    works.worker("b")
    works.submit()
    killed = 0
    for number in range(1, 30):
        ended = works.move(number, when)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        killed += 1
        works.forget()
        if number == 3:
            works.worker("a")  # at which nothing is left to be claimed, as its queues are paused
        if number < 6:
            works.submit()
    assert killed >= 5
    works.forget()
    assert judge(works) == []


def test_workers_on_both_sides_run_what_is_submitted_meanwhile(works: Works) -> None:
    workers = [works.worker("a"), works.worker("b")]
    for _ in range(3):
        works.submit()
        assert works.move() == 0
    works.submit()
    assert works.move(4) == -signal.SIGKILL
    assert works.move() == 0
    works.forget()
    assert all(worker.running for worker in workers)
    assert judge(works) == []


def test_a_planted_bug_is_found(works: Works) -> None:
    """Without the batch's number, what was taken in before a kill is taken in again."""
    works.worker("b")
    works.submit()
    for number in range(1, 9):
        if works.move(number, "after", "no numbers") == 0:
            break
        works.forget()
    works.forget()
    assert any(line.endswith("ran 2 times") for line in judge(works))
