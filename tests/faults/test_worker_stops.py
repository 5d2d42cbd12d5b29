"""SIGTERM and SIGINT, as at a deploy: nobody loses a job, an attempt or a lease."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from headrace.record import Record, State
from tests.faults import labour
from tests.faults.fleet import Fleet
from tests.faults.history import Type
from tests.faults.inquest import tell, violations
from tests.faults.lengths import lengths
from tests.faults.processes import Processes, until

PROMPT = 10.0
"""Seconds within which a hurried worker ends; its runs would take much longer."""

JOBS = 600
"""For each deploy; more than its workers can do before all of them have begun."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with (
        Processes(tmp_path) as processes,
        Fleet(processes, tmp_path, lease=30.0, grace=60.0, concurrency=20) as fleet,
    ):
        yield fleet


def costs(records: list[Record]) -> list[str]:
    """Return what deploys have cost whom."""
    return [
        f"{record.id} has attempt {record.attempt}, lost {record.lost} and state {record.state}"
        for record in records
        if (record.attempt, record.lost, record.state) != (1, 0, State.SUCCEEDED)
    ]


def deploy(fleet: Fleet, times: int, *, bug: str = "") -> list[int]:
    """Start and stop workers again and again under load; return their exit codes."""
    rng = Random(times)
    numbers = range(1, JOBS * 10 * times, 10)  # none that fails in its first attempt
    fleet.submit(
        rng.choice((labour.note, labour.note_in_thread)).call(number, 0.3) for number in numbers
    )
    codes = []
    for _ in range(times):
        supervisor, worker = fleet.supervisor(2, bug=bug), fleet.worker(bug=bug)
        fleet.wait_for_claims(supervisor, 2, worker)
        codes += fleet.stop(supervisor, worker, by=rng.choice((signal.SIGTERM, signal.SIGINT)))
    return codes


@pytest.mark.slow
@pytest.mark.parametrize("times", lengths(2, 200))
def test_deploys_cost_nobody_anything(fleet: Fleet, times: int) -> None:
    assert set(deploy(fleet, times)) == {0}
    fleet.worker()
    fleet.drain()
    history = fleet.close_books()
    tell(history)
    assert violations(history) == []
    assert costs(fleet.records()) == []
    runs = Counter(fleet.numbers("run", Type.INVOKE))
    assert max(runs.values()) == 1


def test_a_worker_that_drops_everything_at_a_stop_is_found(fleet: Fleet) -> None:
    fleet.submit([labour.note.call(number, 30.0) for number in range(1, 6)])
    supervisor = fleet.supervisor(bug="drops_at_stop", lease=1.0)
    fleet.wait_for("run", Type.INVOKE, 5)
    fleet.stop(supervisor)
    fleet.worker()
    until(lambda: costs(fleet.records()), "what it cost", show=fleet.outputs)
    fleet.wait_for("claim", Type.OK, 6)
    assert all(record.lost == 1 for record in fleet.records() if record.holder)


def test_a_second_signal_hurries(fleet: Fleet) -> None:
    tasks = (labour.note, labour.note_in_thread)
    fleet.submit([tasks[number % 2].call(number, 50.0) for number in range(1, 200)])
    supervisor, worker = fleet.supervisor(), fleet.worker()
    fleet.wait_for_claims(supervisor, 1, worker)
    for _ in range(2):
        assert supervisor.running, "it does not wait for its runs"
        assert worker.running, "it does not wait for its runs"
        fleet.send(supervisor, signal.SIGTERM)
        fleet.send(worker, signal.SIGINT)
        time.sleep(0.3)  # two signals at once would be one
    assert [supervisor.wait(PROMPT), worker.wait(PROMPT)] == [0, 0]
    for record in fleet.records():
        assert (record.state, record.attempt, record.lost) == (State.READY, 0, 0)
