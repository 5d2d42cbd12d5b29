"""Runs happen in children, which can be killed, and whose death harms no other run."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.child import Child, ChildDied
from headrace.pool import Callee
from headrace.pools.processes import ProcessPool
from tests.unit.pools.acting import Actor, headrace_threads
from tests.unit.waiting import until

Run = Callable[[Callee], Any]

ECHO = """
import os, time
from headrace.child import Channel
from headrace.errand import ANSWER, NOTE, READY

channel = Channel.of_parent()
channel.send(READY)
while (message := channel.receive()) is not None:
    if message == b"die":
        os._exit(3)
    if message == b"sleep":
        time.sleep(3600)
    channel.send(NOTE + b"working")
    channel.send(ANSWER + message + b" %d" % os.getpid())
"""


class Case:
    """A pool of two children that echo, and who performs its runs."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self.pool: ProcessPool[Run] = ProcessPool(2, self._spawn)
        self.actor = Actor()
        self.answers: dict[bytes, bytes | BaseException] = {}
        self.notes: list[bytes] = []
        self.pool.start(self.actor, self.actor.ask)

    def _spawn(self) -> Child:
        self.children.append(Child("echo"))
        return self.children[-1]

    def ask(self, request: bytes) -> Run:
        def run(callee: Callee) -> None:
            try:
                callee.ready()
                self.answers[request] = callee.call(request, self.notes.append)
            except ChildDied as death:
                self.answers[request] = death

        return run


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    before = set(psutil.Process().children(recursive=True))  # a server of other tests, perhaps
    (tmp_path / "echo.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    case = Case()
    yield case
    assert case.pool.stop()
    assert not headrace_threads()
    assert set(psutil.Process().children(recursive=True)) <= before


def test_runs_are_answered_by_children_that_are_used_again(case: Case) -> None:
    requests = [b"request %d" % number for number in range(20)]
    case.pool.submit([case.ask(request) for request in requests])
    until(lambda: len(case.answers) == 20, "all answers")
    pids = {bytes(case.answers[request]).rpartition(b" ")[2] for request in requests}  # type: ignore[arg-type] # answers, no deaths
    assert 1 <= len(pids) == len(case.children) <= 2
    assert case.notes == [b"working"] * 20


def test_the_death_of_a_child_fails_its_run_alone(case: Case) -> None:
    case.pool.submit([case.ask(request) for request in (b"1", b"die", b"2", b"3")])
    until(lambda: len(case.answers) == 4, "all answers")
    death = case.answers.pop(b"die")
    assert isinstance(death, ChildDied)
    assert death.end == "exit code 3"
    assert all(isinstance(answer, bytes) for answer in case.answers.values())


def test_an_interrupted_run_is_killed_and_the_next_gets_a_new_child(case: Case) -> None:
    run = case.ask(b"sleep")
    case.pool.submit([run])
    until(lambda: case.children, "the child")
    case.pool.interrupt(run)
    until(lambda: case.answers, "the run to end")
    death = case.answers[b"sleep"]
    assert isinstance(death, ChildDied)
    assert death.end in ("killed by SIGKILL", "stopped before it began")
    case.pool.submit([case.ask(b"next")])
    until(lambda: b"next" in case.answers, "the next run")
    assert isinstance(case.answers[b"next"], bytes)


def test_a_child_that_cannot_begin_fails_its_run(case: Case, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text("raise SystemExit(4)")
    case.pool.submit([case.ask(b"1")])
    until(lambda: case.answers, "the run to end")
    death = case.answers[b"1"]
    assert isinstance(death, ChildDied)
    assert death.end == "exit code 4"


def test_a_child_is_interrupted_while_it_begins(case: Case, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text("import time\ntime.sleep(3600)")
    run = case.ask(b"1")
    case.pool.submit([run])
    until(lambda: case.children, "the child")
    case.pool.interrupt(run)
    until(lambda: case.answers, "the run to end")
    assert isinstance(case.answers[b"1"], ChildDied)


def test_a_run_that_is_interrupted_before_it_has_a_child_gets_none(case: Case) -> None:
    begun, free = threading.Event(), threading.Event()

    def late(callee: Callee) -> None:
        begun.set()
        assert free.wait(30)
        case.ask(b"late")(callee)

    case.pool.submit([late])
    assert begun.wait(30)
    case.pool.interrupt(late)
    free.set()
    until(lambda: case.answers, "the run to end")
    assert isinstance(case.answers[b"late"], ChildDied)
    assert case.children == []


def test_interrupting_what_has_ended_kills_nothing(case: Case) -> None:
    first, second = case.ask(b"first"), case.ask(b"second")
    case.pool.submit([first])
    until(lambda: case.pool.running == 0 and case.answers, "it to end")
    case.pool.interrupt(first)
    case.pool.submit([second])
    until(lambda: len(case.answers) == 2, "the second run")
    assert isinstance(case.answers[b"second"], bytes)
    assert len(case.children) == 1


def test_a_child_that_died_between_runs_is_replaced(case: Case) -> None:
    case.pool.submit([case.ask(b"first")])
    until(lambda: case.answers and case.pool.running == 0, "the first run")
    case.children[0].kill()
    case.children[0].wait()
    case.pool.submit([case.ask(b"second")])
    until(lambda: len(case.answers) == 2, "the second run")
    assert isinstance(case.answers[b"second"], bytes)


def test_a_child_that_has_not_answered_is_never_asked_again(case: Case) -> None:
    def refuse(_: bytes) -> None:
        raise ValueError("a note that cannot be read")

    def unheard(callee: Callee) -> None:
        callee.ready()
        with pytest.raises(ValueError, match="cannot be read"):
            callee.call(b"first", refuse)

    case.pool.submit([unheard])
    until(lambda: case.actor.ended and case.pool.running == 0, "the first run")
    case.pool.submit([case.ask(b"second")])
    until(lambda: case.answers, "the second run")
    assert bytes(case.answers[b"second"]).startswith(b"second ")  # type: ignore[arg-type] # no death


def test_what_waits_can_be_taken_back(case: Case) -> None:
    runs = [case.ask(b"sleep") for _ in range(2)] + [case.ask(b"1"), case.ask(b"2")]
    case.pool.submit(runs)
    until(lambda: case.pool.running == 2, "two to run")
    assert case.pool.waiting == 2
    assert case.pool.withdraw() == runs[2:]


def test_it_asks_for_more_when_it_runs_dry(case: Case) -> None:
    case.pool.submit([case.ask(b"1"), case.ask(b"2")])
    until(lambda: case.actor.hungry, "it to ask")


def test_a_stop_kills_what_runs(case: Case) -> None:
    case.pool.submit([case.ask(b"sleep")])
    until(lambda: case.children, "the child")
    assert case.pool.stop()
    assert isinstance(case.answers[b"sleep"], ChildDied)
