"""A move between a file and servers is killed, or a server is, and each job runs once, in order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import permutations
from pathlib import Path

import pytest

from tests import redis_server
from tests.faults.lengths import SOAK_SECONDS
from tests.faults.processes import Process, Processes, until
from tests.faults.works import PATIENCE, Works, judge
from tests.postgresql import own_server, some_place

TAKEN_IN = 6
"""The commit with which the target of a new move takes in the first batch."""
MOST = 60
"""More commits than any of these moves makes."""


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:////{folder / 'jobs'}.db"


@contextmanager
def postgresql(_: Path) -> Iterator[str]:
    with some_place() as place:
        yield place.url


@contextmanager
def redis(_: Path) -> Iterator[str]:
    with redis_server.keys() as url:
        yield url


ENGINES = {"sqlite": sqlite, "postgresql": postgresql, "redis": redis}


@contextmanager
def works_of(folder: Path, source: str, target: str) -> Iterator[Works]:
    with ExitStack() as stack:
        names = {"a": source, "b": target}
        places = {at: stack.enter_context(ENGINES[name](folder)) for at, name in names.items()}
        yield Works(folder, stack.enter_context(Processes(folder)), places)


def kill_at(works: Works, when: str, numbers: range) -> int:
    """Kill movers at these of their commits, until one lives to its end; return how many died."""
    killed = 0
    for number in numbers:
        works.submit()
        ended = works.move(number, when)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        killed += 1
        works.forget()
    assert works.move() == 0
    works.forget()
    return killed


@pytest.mark.parametrize(
    ("source", "target", "first"),
    [("sqlite", "postgresql", 1), ("postgresql", "redis", 2), ("redis", "sqlite", 3)],
)
def test_a_move_is_killed_at_some_commits(
    tmp_path: Path, source: str, target: str, first: int
) -> None:
    """Every commit is some pair's."""
    with works_of(tmp_path, source, target) as works:
        works.worker("b")
        assert kill_at(works, "after", range(first, 7, 3)) >= 2
        assert judge(works) == []


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("source", "target"), list(permutations(ENGINES, 2)))
def test_a_move_is_killed_at_every_commit(
    tmp_path: Path, source: str, target: str, when: str
) -> None:
    with works_of(tmp_path, source, target) as works:
        works.worker("b")
        assert kill_at(works, when, range(1, MOST)) >= 9
        assert judge(works) == []


@pytest.mark.soak
def test_a_planted_bug_is_found(tmp_path: Path) -> None:
    """Without the batch's number, what was taken in before a kill is taken in again.

    The short form is that of two files.
    """
    with works_of(tmp_path, "redis", "postgresql") as works:
        works.worker("b")
        works.submit()
        assert works.move(TAKEN_IN, "after", "no numbers") == -signal.SIGKILL
        works.forget()
        assert works.move(bug="no numbers") == 0
        works.forget()
        assert any(line.endswith("ran 2 times") for line in judge(works))


# Servers that crash -------------------------------------------------------------------------------

Crash = Callable[[], None]


@contextmanager
def crashing(folder: Path) -> Iterator[tuple[Works, list[Crash]]]:
    """Give works between two servers of our own, and what lets either crash and come back."""
    with (
        own_server(("fsync = off",)) as one,  # nothing pulls the plug here
        redis_server.server() as other,
        Processes(folder) as processes,
    ):

        def crash_postgresql() -> None:
            one.stop("immediate")
            one.start()

        def crash_redis() -> None:
            other.kill()
            other.start()

        works = Works(folder, processes, {"a": one.url, "b": other.url})
        yield works, [crash_postgresql, crash_redis]


def crash_at(works: Works, mover: Process, crash: Crash, step: int) -> int:
    """Let a server crash before each n-th commit of a mover; return how often it did."""
    crashes = 0
    for number in range(step, MOST, step):
        file = works.folder / f"notes.{number}"
        until(lambda: file.exists() or not mover.running, "a commit", show=mover.output)  # noqa: B023 - asked at once
        if not mover.running:
            break
        if number % 2:
            file.unlink()  # the commit is under way at the same time
        crash()
        crashes += 1
        file.unlink(missing_ok=True)
    assert mover.wait(PATIENCE) == 0, mover.output()
    return crashes


@pytest.mark.parametrize(("step", "least"), [(5, 1), pytest.param(1, 9, marks=pytest.mark.soak)])
def test_servers_crash_while_a_move_runs(tmp_path: Path, step: int, least: int) -> None:
    with crashing(tmp_path) as (works, crashes):
        works.worker("b")
        for crash in crashes:
            works.submit()
            assert crash_at(works, works.mover(step, "beside"), crash, step) >= least
        works.forget()
        assert judge(works) == []
