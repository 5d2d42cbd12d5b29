"""SIGKILLs of workers and submitters under load: nothing is lost, and nothing runs without cause.

Each control plants a bug into one process and must be convicted by the same judge.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import labour
from tests.faults.audit import audit
from tests.faults.fleet import Fleet, Storm
from tests.faults.history import Type
from tests.faults.inquest import figures, tell, violations
from tests.faults.lengths import lengths
from tests.faults.processes import Processes

TASKS = ("note", "note_in_thread")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Processes(tmp_path) as processes, Fleet(processes, tmp_path) as fleet:
        yield fleet


@pytest.mark.slow
@pytest.mark.parametrize("faults", lengths(10, 2000))
def test_nothing_is_lost_and_nothing_runs_again_without_a_cause(
    fleet: Fleet, tmp_path: Path, faults: int
) -> None:
    storm = Storm(fleet, TASKS, seed=faults, share=1000)
    storm.rage(faults)
    codes = storm.drain()
    history = fleet.close_books()
    tell(history)
    assert violations(history) == []
    assert audit(tmp_path / "jobs.db") == []
    assert codes == [0] * len(codes)
    assert figures(history)["lost leases"] > 0, "the storm was too weak"


def test_a_worker_that_settles_before_it_runs_is_found(fleet: Fleet) -> None:
    worker = fleet.worker(bug="settles_first")
    fleet.submit([labour.note.call(number, 30.0) for number in range(1, 6)])
    fleet.wait_for("settle", Type.OK, 5)
    fleet.kill(worker.pid)
    fleet.drain()
    found = violations(fleet.close_books())
    assert [f"job {number} was accepted but never ran to its end" for number in range(1, 6)] == [
        violation for violation in found if "accepted but" in violation
    ]


def test_an_engine_that_ignores_the_token_is_found(fleet: Fleet) -> None:
    first = fleet.worker(bug="ignores_token")
    fleet.submit([labour.note_in_thread.call(1, 2.0)])
    fleet.wait_for("run", Type.INVOKE)
    with fleet.frozen(first.pid):
        fleet.worker()
        fleet.wait_for("run", Type.INVOKE, 2)
    fleet.wait_for("run", Type.OK, 2)
    fleet.drain()
    found = violations(fleet.close_books())
    assert any("settled it after" in violation for violation in found), found


def test_a_submit_that_is_acknowledged_before_its_commit_is_found(fleet: Fleet) -> None:
    submitter = fleet.submitter(range(1, 1000), TASKS, bug="acknowledges_early")
    fleet.wait_for("submit", Type.OK, 5)
    fleet.kill(submitter.pid)
    fleet.worker()
    fleet.drain()
    found = violations(fleet.close_books())
    assert any("accepted but is unknown in the end" in violation for violation in found), found
