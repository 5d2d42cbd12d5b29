"""`ctx.transaction()`: what a task writes there, and the jobs it submits, come to be exactly once.

Under SIGKILLs, lease losses and exceptions after the commit; a task that writes in a transaction of
its own instead is caught by the same judge.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import labour
from tests.faults.audit import audit
from tests.faults.fleet import LEASE, Fleet, Storm
from tests.faults.history import Type
from tests.faults.inquest import effect_violations, figures, tell
from tests.faults.lengths import lengths
from tests.faults.processes import Processes

TASKS = ("affect", "affect_in_thread")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with (
        Processes(tmp_path) as processes,
        Fleet(processes, tmp_path, concurrency=20) as fleet,
    ):
        fleet.prepare_effects()
        yield fleet


@pytest.mark.slow
@pytest.mark.parametrize("faults", lengths(10, 1500))
def test_effects_come_to_be_exactly_once(fleet: Fleet, tmp_path: Path, faults: int) -> None:
    storm = Storm(fleet, TASKS, seed=faults, share=200)
    storm.rage(faults)
    storm.drain()
    history = fleet.close_books()
    tell(history)
    assert effect_violations(history) == []
    assert audit(tmp_path / "jobs.db") == []
    assert figures(history)["lost leases"] > 0, "the storm was too weak"
    children = [e for e in history if e.f == "end" and e.value["number"] >= labour.CHILDREN]
    assert len(children) == len(fleet.effects())


def test_a_run_that_was_paused_beyond_its_lease_has_no_effect(fleet: Fleet) -> None:
    first = fleet.worker()
    fleet.submit([labour.affect.call(1, LEASE), labour.affect_in_thread.call(2, LEASE)])
    fleet.wait_for("run", Type.INVOKE, 2)
    with fleet.frozen(first.pid):
        fleet.worker()
        fleet.wait_for("run", Type.OK, 2)
    fleet.drain()
    assert fleet.stop(first) == [0]
    assert sorted(fleet.effects()) == [1, 2]
    assert effect_violations(fleet.close_books()) == []


def test_a_run_that_was_paused_in_its_transaction_holds_nobody_up_for_ever(fleet: Fleet) -> None:
    first = fleet.worker()
    fleet.submit([labour.affect_in_thread.call(1, held=0.8)])
    fleet.wait_for("hold", Type.OK)
    with fleet.frozen(first.pid):
        fleet.submitter(range(2, 20), TASKS)
        time.sleep(1.2 * LEASE)
        assert len(fleet.events("submit", Type.OK)) == 1, "it does not hold the write lock"
    fleet.worker()
    fleet.wait_for("submit", Type.OK, 2)
    fleet.drain()
    assert effect_violations(fleet.close_books()) == []


def test_an_effect_in_a_transaction_of_its_own_is_found(fleet: Fleet) -> None:
    worker = fleet.worker()
    fleet.submit([labour.affect_apart.call(number, 0.5) for number in (1, 2)])
    fleet.wait_for("run", Type.INVOKE, 2)
    fleet.wait_for_effects(2)
    fleet.kill(worker.pid)
    fleet.worker()
    fleet.drain()
    found = effect_violations(fleet.close_books())
    assert [f"job {number} took effect more than once" for number in (1, 2)] == found
