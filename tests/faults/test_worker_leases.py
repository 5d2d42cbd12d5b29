"""A frozen worker loses its leases, is told, and writes nothing more; a busy one keeps them."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from headrace.record import State
from tests.faults import labour
from tests.faults.fleet import LEASE, PATIENCE, Fleet
from tests.faults.history import Event, Type
from tests.faults.inquest import violations
from tests.faults.lengths import lengths
from tests.faults.processes import Processes

REAPED_AFTER = 5.0
"""Seconds after its end in which a lease is taken back (L5 of the protocol)."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Processes(tmp_path) as processes, Fleet(processes, tmp_path) as fleet:
        yield fleet


@pytest.mark.slow
@pytest.mark.parametrize("count", lengths(6, 50))
def test_a_frozen_worker_is_overtaken_told_and_refused(fleet: Fleet, count: int) -> None:
    first = fleet.worker(threads=count, concurrency=count)
    tasks = (labour.listen, labour.listen_in_thread)
    fleet.submit([tasks[number % 2].call(number, PATIENCE) for number in range(1, count + 1)])
    fleet.wait_for("run", Type.INVOKE, count)
    with fleet.frozen(first.pid):
        second = fleet.worker()
        fleet.wait_for("claim", Type.OK, count + 1, timeout=LEASE + REAPED_AFTER)
    fleet.wait_for("told", Type.OK, count)
    fleet.drain()
    assert sorted(fleet.numbers("told", Type.OK)) == list(range(1, count + 1))
    assert {event.process for event in fleet.events("told")} == {first.pid}
    assert violations(fleet.close_books()) == []
    for record in fleet.records():
        assert (record.state, record.attempt, record.lost) == (State.SUCCEEDED, 1, 1)
    assert fleet.stop(first, second) == [0, 0]


def test_what_a_frozen_worker_settles_afterwards_is_refused(fleet: Fleet) -> None:
    """Its run has ended when it wakes, so that it settles before it can learn of its loss."""
    first = fleet.worker(bug="never_beats")
    fleet.submit([labour.note_in_thread.call(1, 1.0)])
    fleet.wait_for("run", Type.INVOKE)
    with fleet.frozen(first.pid):
        second = fleet.worker()
        fleet.wait_for("run", Type.INVOKE, 2, timeout=LEASE + REAPED_AFTER)
    fleet.drain()
    fleet.wait_for("settle", Type.FAIL)
    (record,) = fleet.records()
    assert msgspec.json.decode(record.result or b"") == second.pid
    assert violations(fleet.close_books()) == []


def test_what_a_frozen_worker_had_claimed_ahead_is_not_begun_late(fleet: Fleet) -> None:
    first = fleet.worker(threads=1)
    fleet.submit([labour.note_in_thread.call(number, 0.5) for number in (1, 2)])
    fleet.wait_for("claim", Type.OK, 2)
    with fleet.frozen(first.pid):
        fleet.worker()
        fleet.wait_for("claim", Type.OK, 3, timeout=LEASE + REAPED_AFTER)
    fleet.drain()
    history = fleet.close_books()
    assert violations(history) == []
    assert late_beginnings(history, first.pid) == set()


def late_beginnings(history: list[Event], pid: int) -> set[int]:
    """Return what a process began after it was frozen although it had not claimed it anew."""
    own = [event for event in history if pid in (event.process, event.value)]
    (resumed,) = (event.time for event in own if event.f == "stop" and event.type is Type.OK)
    since = [event for event in own if event.time > resumed]
    begun = {event.value for event in since if (event.f, event.type) == ("run", Type.INVOKE)}
    return begun - {event.value["number"] for event in since if event.f == "claim"}


# Busy, not frozen ---------------------------------------------------------------------------------


def test_a_blocked_loop_or_thread_does_not_cost_a_lease(fleet: Fleet) -> None:
    fleet.worker()
    other = fleet.worker()
    fleet.submit([labour.block.call(1, 2.5 * LEASE), labour.note_in_thread.call(2, 2.5 * LEASE)])
    fleet.drain()
    assert sorted(fleet.numbers("run", Type.INVOKE)) == [1, 2]
    assert [record.lost for record in fleet.records()] == [0, 0]
    assert fleet.stop(other) == [0]


def test_a_worker_without_a_heartbeat_is_found(fleet: Fleet) -> None:
    fleet.worker(bug="never_beats")
    fleet.submit([labour.note.call(1, 3 * LEASE)])
    fleet.wait_for("run", Type.INVOKE)
    fleet.worker()
    fleet.wait_for("run", Type.INVOKE, 2)
    assert fleet.records()[0].lost > 0
