"""Workers of several supervisors share a PostgreSQL server, as those of several hosts would."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.app import App
from headrace.record import State
from tests.faults.processes import Process, Processes, until
from tests.postgresql import Place, some_place
from tests.system import program

ROOT = Path(__file__).parents[2]
JOBS = 120


@pytest.fixture
def place() -> Iterator[Place]:
    with some_place() as place:
        yield place


@pytest.fixture
def app(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Give an App with the program's tasks, on a schema of its own."""
    monkeypatch.setenv("SYSTEM_URL", place.url)
    monkeypatch.setenv("HEADRACE_ALLOW_UNSAFE_SERVER", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    app = App(place.url, poll=0.1, allow_unsafe_server=True)
    for task in program.app.registry:
        app.task(name=task.name)(task.function)
    yield app
    app.close()


def test_a_killed_worker_loses_nothing(app: App, tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        argument = json.dumps({"processes": 1})
        hosts: list[Process] = [
            processes.python("tests.system.supervise", argument) for _ in range(2)
        ]
        slow = app.registry.get("slow")
        jobs = app.submit([slow.call(0.05) for _ in range(JOBS)])

        def states() -> Counter[State]:
            found = app.engine.states([job.id for job in jobs]).wait(30)
            return Counter(found.values())

        until(
            lambda: states()[State.SUCCEEDED] > JOBS // 10,
            "some jobs to succeed",
            60,
            show=hosts[0].output,
        )
        (victim, *_) = hosts[0].descendants()
        processes.kill(victim)
        until(
            lambda: states()[State.SUCCEEDED] == JOBS,
            "all jobs to succeed",
            60,
            show=lambda: f"{states()}\n{hosts[0].output()}\n{hosts[1].output()}",
        )
        records = app.engine.get([job.id for job in jobs]).wait(30).values()
        assert {record.holder for record in records} == {""}
        assert all(record.lost <= 1 for record in records)
