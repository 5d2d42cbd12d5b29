"""Worker processes come and go, by order and by accident, and no job is lost by it."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.app import App
from headrace.job import Job
from headrace.record import Filter, Record, State
from tests import redis_server
from tests.faults.processes import Process, Processes, until
from tests.system import program

Start = Callable[..., Process]
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give a file, or keys of a server, that nobody else uses."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'jobs.db'}"
    else:
        with redis_server.keys() as url:
            yield url


@pytest.fixture
def app(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Give an App with the program's tasks, on an engine of its own."""
    monkeypatch.setenv("SYSTEM_URL", url)
    monkeypatch.setenv("HEADRACE_ALLOW_VOLATILE_SERVER", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    app = App(url, poll=0.1)
    for task in program.app.registry:
        app.task(name=task.name)(task.function)
    yield app
    app.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


@pytest.fixture
def start(processes: Processes) -> Start:
    """Start a supervisor with worker processes."""

    def supervise(count: int = 1, **work: Any) -> Process:
        argument = json.dumps({"processes": count, **work})
        return processes.python("tests.system.supervise", argument)

    return supervise


def submit(app: App, task: str, *arguments: Any) -> list[Job[Any]]:
    """Submit a job of a task for each argument."""
    return app.submit([app.registry.get(task).call(argument) for argument in arguments])


def records(app: App, jobs: list[Job[Any]]) -> list[Record]:
    return list(app.engine.get([job.id for job in jobs]).wait(30).values())


def states(app: App, jobs: list[Job[Any]]) -> Counter[State]:
    return Counter(app.engine.states([job.id for job in jobs]).wait(30).values())


def wait_for(app: App, jobs: list[Job[Any]], state: State, count: int, by: Process) -> None:
    until(
        lambda: states(app, jobs)[state] >= count,
        f"{count} jobs to be {state}, not {states(app, jobs)}",
        60,
        show=by.output,
    )


def holders(app: App) -> set[str]:
    page = app.engine.find(Filter(states=(State.RUNNING,)), limit=1000).wait(30)
    return {record.holder for record in page.records}


@pytest.mark.parametrize("task", ["slow", "aslow"])
def test_a_signal_lets_runs_end_and_hands_the_rest_back(
    app: App, start: Start, processes: Processes, task: str
) -> None:
    jobs = submit(app, task, *[0.5] * 300)
    supervisor = start(2, settings={"concurrency": 10, "threads": 10})
    wait_for(app, jobs, State.SUCCEEDED, 10, supervisor)
    processes.signal(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait() == 0
    found = states(app, jobs)
    assert set(found) == {State.SUCCEEDED, State.READY}, supervisor.output()
    for record in records(app, jobs):
        assert (record.attempt, record.lost) == (int(record.state is State.SUCCEEDED), 0)


def test_a_signal_to_every_process_hurries_none(
    app: App, start: Start, processes: Processes
) -> None:
    jobs = submit(app, "aslow", 1.5)
    supervisor = start()
    wait_for(app, jobs, State.RUNNING, 1, supervisor)
    for pid in (supervisor.pid, *supervisor.descendants()):
        processes.signal(pid, signal.SIGTERM)
    assert supervisor.wait() == 0
    assert states(app, jobs) == {State.SUCCEEDED: 1}


@pytest.mark.parametrize("task", ["slow", "aslow"])
def test_a_second_signal_hurries(app: App, start: Start, processes: Processes, task: str) -> None:
    jobs = submit(app, task, 3600.0, 3600.0)
    supervisor = start(settings={"grace": 3600.0})
    wait_for(app, jobs, State.RUNNING, 2, supervisor)
    processes.signal(supervisor.pid, signal.SIGINT)
    time.sleep(0.5)  # two signals at once are one
    processes.signal(supervisor.pid, signal.SIGINT)
    assert supervisor.wait() == 0
    assert states(app, jobs) == {State.READY: 2}
    assert [(record.attempt, record.lost) for record in records(app, jobs)] == [(0, 0)] * 2


def test_the_jobs_of_a_killed_worker_are_run_by_others_at_once(
    app: App, start: Start, processes: Processes
) -> None:
    jobs = submit(app, "slow", *[0.2] * 100)
    supervisor = start(2, settings={"threads": 10})
    wait_for(app, jobs, State.SUCCEEDED, 20, supervisor)
    victim = supervisor.descendants()[0]
    processes.kill(victim)
    # Far sooner than the leases of a minute would expire.
    wait_for(app, jobs, State.SUCCEEDED, 100, supervisor)
    lost = [record for record in records(app, jobs) if record.lost]
    assert 1 <= len(lost) <= 40  # what ran, what was claimed ahead, and what was being settled
    for record in lost:
        assert record.lost == 1
        evidence = record.history[0].failure.message
        assert f"worker process {victim} ended: killed by SIGKILL" in evidence


def test_of_all_jobs_only_the_guilty_one_ends_dead(app: App, start: Start) -> None:
    innocent = submit(app, "quick", *range(400)) + submit(app, "slow", *[0.05] * 50)
    guilty = submit(app, "deadly", 7)
    innocent += submit(app, "aquick", *range(400))
    supervisor = start()
    wait_for(app, guilty, State.DEAD, 1, supervisor)
    wait_for(app, innocent, State.SUCCEEDED, 850, supervisor)
    (record,) = records(app, guilty)
    assert record.lost == 3
    assert record.failure is not None
    assert record.failure.cause == "crash-loop"
    assert "exit code 7" in record.history[0].failure.message


def test_workers_are_recycled_and_nothing_is_counted(app: App, start: Start) -> None:
    jobs = submit(app, "quick", *range(500))
    supervisor = start(1, most_jobs=100)
    wait_for(app, jobs, State.SUCCEEDED, 500, supervisor)
    assert all((record.attempt, record.lost) == (1, 0) for record in records(app, jobs))


def test_workers_end_when_their_supervisor_is_killed(
    app: App, start: Start, processes: Processes
) -> None:
    jobs = submit(app, "aslow", 1.0, 3600.0)
    supervisor = start(2, settings={"grace": 3.0})
    wait_for(app, jobs, State.RUNNING, 2, supervisor)
    processes.kill(supervisor.pid)
    wait_for(app, jobs, State.READY, 1, supervisor)
    assert states(app, jobs) == {State.READY: 1, State.SUCCEEDED: 1}
    assert holders(app) == set()


def test_a_child_process_is_killed_at_its_timeout(app: App, start: Start) -> None:
    jobs = submit(app, "stubborn", 1)
    supervisor = start()
    wait_for(app, jobs, State.DEAD, 1, supervisor)
    (record,) = records(app, jobs)
    assert (record.attempt, record.lost) == (2, 0)
    assert record.history[0].failure.cause == "timeout"
