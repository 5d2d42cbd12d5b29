"""A disk that is full under a running worker, or that fails: nothing that was accepted is lost."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.worker import Exit
from tests.faults import labour, witness
from tests.faults.fleet import PATIENCE, Fleet
from tests.faults.history import Type
from tests.faults.inquest import tell, violations
from tests.faults.lengths import lengths
from tests.faults.processes import Process, Processes, until
from tests.faults.storage import SmallDisk

MEBIBYTES = 64
BALLAST = 2 * 2**20
JOBS = 120
"""Of which each has a result of 50 kB: more than the reserve, less than the disk."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


# Full ---------------------------------------------------------------------------------------------


@pytest.fixture
def disk(processes: Processes, tmp_path: Path) -> SmallDisk:
    (tmp_path / "disk").mkdir()
    return SmallDisk.mount(processes, tmp_path / "disk", MEBIBYTES)


@pytest.fixture
def full(processes: Processes, tmp_path: Path, disk: SmallDisk) -> Iterator[Fleet]:
    with Fleet(processes, tmp_path, disk=disk, lease=30.0, ballast=BALLAST, concurrency=4) as fleet:
        yield fleet


def reserve(disk: SmallDisk) -> int:
    return (disk.view / "jobs.db-ballast").stat().st_size


def finished(fleet: Fleet) -> int:
    return sum(event.value["final"] for event in fleet.events("settle", Type.OK))


def fill_under(fleet: Fleet, disk: SmallDisk, **worker_settings: Any) -> Process:
    """Start a worker and fill the disk until the reserve is spent and a settlement refused."""
    assert fleet.submitter(range(1, JOBS + 1), ["write_much"], 0.1).wait(PATIENCE) == 0
    worker = fleet.worker(**worker_settings)
    fleet.wait_for("settle", Type.OK, 20)
    disk.fill()
    before = finished(fleet)
    until(lambda: not reserve(disk), "the end of the reserve", PATIENCE, show=fleet.outputs)
    fleet.wait_for("settle", Type.INFO)
    assert finished(fleet) > before, "nothing was settled from the reserve"
    return worker


def run_again(fleet: Fleet) -> list[int]:
    runs = Counter(fleet.numbers("run", Type.INVOKE))
    return [number for number, count in runs.items() if count > 1]


@pytest.mark.slow
def test_a_worker_on_a_full_disk_keeps_outcomes_until_there_is_space(
    full: Fleet, disk: SmallDisk
) -> None:
    worker = fill_under(full, disk)
    claims = len(full.events("claim"))
    refused = full.submitter(range(JOBS + 1, JOBS + 2), ["note"])
    assert refused.wait(PATIENCE) != 0
    assert "StorageFull" in refused.output()
    time.sleep(1.0)
    assert len(full.events("claim")) == claims, "it claims what it cannot settle"
    disk.free()
    until(lambda: finished(full) == JOBS, "the end of all jobs", PATIENCE, show=full.outputs)
    until(lambda: reserve(disk) == BALLAST, "a whole reserve", PATIENCE, show=full.outputs)
    assert full.submitter(range(JOBS + 2, JOBS + 3), ["note"]).wait(PATIENCE) == 0
    until(lambda: finished(full) == JOBS + 1, "the end of one more", PATIENCE, show=full.outputs)
    assert full.stop(worker) == [0]
    assert run_again(full) == []
    full.fetch(disk)
    history = full.close_books()
    tell(history)
    assert violations(history) == []


def test_a_worker_that_forgets_outcomes_is_found(full: Fleet, disk: SmallDisk) -> None:
    fill_under(full, disk, bug="forgets_when_full", lease=1.0)
    disk.free()
    until(lambda: run_again(full), "a job that runs again", PATIENCE, show=full.outputs)


# Failing ------------------------------------------------------------------------------------------


@pytest.fixture
def failing(processes: Processes, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(processes, tmp_path, concurrency=5, threads=5) as fleet:
        fleet.environment[witness.SYNCS] = str(tmp_path / "syncs")
        (tmp_path / "syncs").mkdir()
        yield fleet


def fail_syncs(directory: Path, *numbers: int) -> None:
    for number in numbers:
        (directory / "syncs" / str(number)).touch()


@pytest.mark.slow
@pytest.mark.parametrize("failures", lengths(2, 6))
def test_workers_end_when_nobody_knows_what_was_written_and_are_replaced(
    failing: Fleet, tmp_path: Path, failures: int
) -> None:
    fail_syncs(tmp_path, *range(20, 20 + failures))
    failing.submit(labour.note.call(number, 0.02) for number in range(1, 100 * failures))
    alone = failing.worker()
    assert alone.wait(PATIENCE) == Exit.ENGINE
    supervisor = failing.supervisor()
    failing.drain(5 * PATIENCE)
    assert failing.stop(supervisor) == [0]
    said = f"ended: exit code {Exit.ENGINE:d}"
    assert supervisor.output().count(said) == failures - 1
    history = failing.close_books()
    tell(history)
    assert violations(history) == []


def test_a_worker_that_goes_on_is_found(failing: Fleet, tmp_path: Path) -> None:
    fail_syncs(tmp_path, 20)
    failing.submit(labour.note.call(number, 0.02) for number in range(1, 200))
    worker = failing.worker(bug="ignores_unknown_outcomes")
    failing.wait_for("settle", Type.INFO)
    with pytest.raises(AssertionError, match="in vain"):
        worker.wait(1.0)
