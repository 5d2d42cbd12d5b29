"""A job that kills its worker ends dead with the evidence, and takes nobody with it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from headrace.record import Cause, Record, State
from headrace.registry import AnyTask
from headrace.write import LOST_LEASES_LIMIT
from tests.faults import labour
from tests.faults.fleet import Fleet
from tests.faults.inquest import tell, violations
from tests.faults.processes import Processes, until

POISON = 0


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    # One worker claims everything at once; only the supervisor gives leases as long as these back.
    with (
        Processes(tmp_path) as processes,
        Fleet(processes, tmp_path, lease=60.0, concurrency=1000, threads=500) as fleet,
    ):
        yield fleet


def convicted(records: list[Record]) -> set[int]:
    """Return the numbers of the jobs that ended dead for killing their worker."""
    return {
        msgspec.json.decode(record.message.body)["number"]
        for record in records
        if record.failure is not None and record.failure.cause == Cause.CRASH_LOOP
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("poison", "end", "count", "processes"),
    [
        (labour.exit_at_once, f"exit code {labour.EXIT_CODE}", 500, 2),
        (labour.crash, "killed by SIGSEGV", 50, 2),
        pytest.param(labour.crash, "killed by SIGSEGV", 5000, 2, marks=pytest.mark.soak),
    ],
)
def test_of_many_jobs_only_the_guilty_one_ends_dead(
    fleet: Fleet, poison: AnyTask, end: str, count: int, processes: int
) -> None:
    others = [labour.hesitate.call(number, 1.0) for number in range(1, count)]
    fleet.submit([poison.call(POISON, 0.1), *others])
    supervisor = fleet.supervisor(processes)
    fleet.drain()
    assert fleet.stop(supervisor) == [0]
    history = fleet.close_books()
    tell(history)
    assert violations(history) == []
    *innocent, guilty = fleet.records()
    assert convicted([guilty, *innocent]) == {POISON}
    assert {record.state for record in innocent} == {State.SUCCEEDED}
    assert max(record.lost for record in innocent) == 1, "they were not claimed together"
    check_evidence(guilty, end)


def check_evidence(guilty: Record, end: str) -> None:
    assert guilty.state is State.DEAD
    assert guilty.failure is not None
    assert end in guilty.failure.message
    assert guilty.failure.logs[-1:] == (labour.LAST_WORDS,)
    assert guilty.lost == len(guilty.history) == LOST_LEASES_LIMIT


def test_a_worker_that_runs_suspects_beside_others_is_found(fleet: Fleet) -> None:
    others = [labour.note.call(number, 1.0) for number in range(1, 11)]
    fleet.submit([labour.exit_at_once.call(POISON, 0.5), *others])
    fleet.supervisor(bug="runs_suspects_together")
    until(lambda: convicted(fleet.records()), "a dead letter", show=fleet.outputs)
    assert convicted(fleet.records()) > {POISON}
