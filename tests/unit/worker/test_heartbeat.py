"""A heartbeat renews what is held, and passes on what it hears about it."""

from collections.abc import Iterator

import pytest

from headrace.errors import EngineBusy, OutcomeUnknown
from headrace.worker import Exit
from headrace.worker.heartbeat import Heartbeat, lease_until
from headrace.worker.leases import Leases
from headrace.write import Extend
from tests.unit.waiting import until
from tests.unit.worker.stage import Stage, a_run


class Case:
    """A heartbeat on a stage."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.engine = self.stage.engine
        self.leases = Leases()
        self.heartbeat = Heartbeat(self.stage.site, self.leases)


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.heartbeat.stop()


def test_all_leases_are_renewed_in_one_write(case: Case) -> None:
    runs = [a_run(1), a_run(2)]
    case.leases.hold(runs)
    case.stage.clock.advance(5)
    assert case.heartbeat.beat() == 10
    (write,) = case.engine.writes
    assert isinstance(write, Extend)
    assert {lease.job_id for lease in write.leases} == {"job-1", "job-2"}
    now = case.stage.clock.monotonic()
    assert {run.lease_until for run in runs} == {lease_until(now, 30)} == {now + 27}


def test_nothing_is_written_when_nothing_is_held(case: Case) -> None:
    assert case.heartbeat.beat() == 10
    assert case.engine.writes == []


def test_a_short_lease_makes_it_beat_faster(case: Case) -> None:
    run = a_run(1, lease=3.0)
    case.leases.hold([run, a_run(2)])
    assert case.heartbeat.beat() == 1
    assert run.lease_until == pytest.approx(case.stage.clock.monotonic() + 2.7)


def test_a_run_whose_lease_is_lost_is_told_and_dropped(case: Case) -> None:
    run = a_run()
    case.leases.hold([run])
    case.engine.lost = {"job-1"}
    case.heartbeat.beat()
    assert run.stopped == "lost"
    assert len(case.leases) == 0
    assert ("lease.lost", {"job_id": "job-1"}) in case.stage.events


def test_a_run_that_has_just_been_settled_has_not_lost_its_lease(case: Case) -> None:
    run = a_run()
    run.ended = True
    case.leases.hold([run])
    case.engine.lost = {"job-1"}
    case.heartbeat.beat()
    assert run.stopped == ""
    assert case.stage.events == []


def test_a_run_is_told_that_it_is_to_be_cancelled(case: Case) -> None:
    run = a_run()
    case.leases.hold([run])
    case.engine.cancelled = {"job-1"}
    case.heartbeat.beat()
    assert run.stopped == "cancelled"
    assert len(case.leases) == 1


def test_the_lease_of_a_stuck_run_is_renewed_no_more(case: Case) -> None:
    run = a_run()
    run.stuck = True
    case.leases.hold([run])
    case.heartbeat.beat()
    assert case.engine.writes == []


def test_a_busy_engine_is_asked_again_soon(case: Case) -> None:
    run = a_run(until=1234.0)
    case.leases.hold([run])
    case.engine.refusals = [EngineBusy("locked")]
    assert case.heartbeat.beat() < 10
    assert run.lease_until == 1234.0
    assert case.stage.ends == []


def test_a_failed_engine_ends_the_worker(case: Case) -> None:
    case.leases.hold([a_run()])
    case.engine.refusals = [OutcomeUnknown("the disk failed")]
    assert case.heartbeat.beat() > 1000
    assert case.stage.ends == [Exit.ENGINE]


def test_a_hint_makes_it_beat_at_once(case: Case) -> None:
    case.heartbeat.start()
    case.leases.hold([a_run()])
    case.engine.hints["cancel"]()
    until(lambda: case.engine.writes, "a heartbeat")


def test_a_claim_with_a_short_lease_makes_it_beat_at_once(case: Case) -> None:
    case.heartbeat.start()
    case.heartbeat.hold([a_run(1, lease=1.0)])
    until(lambda: case.engine.writes, "a heartbeat")
