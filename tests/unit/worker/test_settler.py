"""Settlements are written in batches, kept while they cannot be, and their leases forgotten."""

from collections.abc import Iterator

import msgspec
import pytest

from headrace.errors import EngineBusy, EngineError, OutcomeUnknown, StorageFull
from headrace.record import Cause, State
from headrace.worker import Exit, settler
from headrace.worker.decision import released
from headrace.worker.leases import Leases
from headrace.worker.run import Run
from headrace.worker.settler import Settler
from headrace.write import Settle, Settlement
from tests.unit.waiting import until
from tests.unit.worker.stage import Stage, a_run


class Case:
    """A settler on a stage."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.engine = self.stage.engine
        self.leases = Leases()
        self.settler = Settler(self.stage.site, self.leases)
        self._number = 0

    def put(self, count: int = 1) -> list[Run]:
        runs = []
        for _ in range(count):
            self._number += 1
            runs.append(a_run(self._number))
            self.leases.hold([runs[-1]])
            self.settler.put(runs[-1], released(runs[-1].lease))
        return runs

    def sizes(self) -> list[int]:
        return [len(w.settlements) for w in self.engine.writes if isinstance(w, Settle)]


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.settler.stop()


def test_a_lonely_settlement_is_written_at_once(case: Case) -> None:
    case.put()
    assert case.sizes() == [1]
    assert len(case.leases) == 0
    assert case.settler.settled == 1
    ((name, told),) = case.stage.events
    assert name == "jobs.settled"
    assert (len(told["leases"]), told["lost"], told["seconds"]) == (1, frozenset(), 0.0)


def test_what_comes_while_a_batch_is_written_becomes_the_next_one(case: Case) -> None:
    case.engine.held = True
    case.put(100)
    assert case.sizes() == [1]
    assert case.settler.backlog == 99
    case.engine.answer()
    assert case.sizes() == [1, 99]
    assert len(case.leases) == 0


def test_a_full_batch_goes_out_beside_the_first(case: Case) -> None:
    case.engine.held = True
    case.put(600)
    assert case.sizes() == [1, 250]
    case.engine.answer()
    assert sum(case.sizes()) == 600


def test_a_batch_ends_with_the_result_that_fills_it(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settler, "_BATCH_BYTES", 100)
    case.engine.held = True
    case.put()
    for number in range(2, 12):
        run = a_run(number)
        result = msgspec.Raw(b"7" * 40)
        case.settler.put(run, Settlement(lease=run.lease, to=State.SUCCEEDED, result=result))
    case.engine.answer()
    assert case.sizes() == [1, 3, 3, 3, 1]


@pytest.mark.parametrize("error", [StorageFull("no room"), EngineBusy("locked")])
def test_outcomes_are_kept_until_they_can_be_written(case: Case, error: Exception) -> None:
    case.engine.refusals = [error]
    case.put(3)
    stuck = case.settler.stuck
    assert stuck
    assert case.sizes() == []
    assert len(case.leases) == 3
    case.settler.start()
    until(lambda: case.settler.settled == 3, "the outcomes to be written")
    assert not case.settler.stuck
    assert [s.lease.job_id for s in case.engine.settlements()] == ["job-1", "job-2", "job-3"]
    assert case.stage.ends == []


def test_an_unknown_outcome_ends_the_worker(case: Case) -> None:
    case.engine.refusals = [OutcomeUnknown("the disk failed")]
    case.put()
    assert case.stage.ends == [Exit.ENGINE]
    assert case.settler.broken
    assert len(case.leases) == 1


def test_an_outcome_that_cannot_be_written_ends_its_own_job_alone(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    case.engine.unwritable = {"job-7": TypeError("no JSON form \udce9")}
    case.engine.held = True
    case.put(12)
    case.engine.answer()
    assert len(case.leases) == 0
    assert case.settler.settled == 12
    assert not case.settler.broken
    assert case.stage.ends == []
    (dead,) = [s for s in case.engine.settlements() if s.to is not State.READY]
    assert (dead.lease.job_id, dead.to) == ("job-7", State.DEAD)
    assert (dead.failure.cause, dead.failure.type) == (Cause.RESULT_REJECTED, "TypeError")
    assert dead.failure.message == "what became of the run could not be written: no JSON form ?"
    assert "what became of job job-7 cannot be written" in caplog.text


def test_an_engine_that_writes_nothing_at_all_ends_the_worker(case: Case) -> None:
    case.engine.refusals = [EngineError("no"), EngineError("no")]
    case.put()
    assert case.stage.ends == [Exit.ENGINE]
    assert case.engine.settlements() == []


def test_a_lost_lease_is_told(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    case.engine.lost = {"job-1"}
    case.put()
    assert "job-1" in caplog.text
    assert case.stage.events[-1][1]["lost"] == {"job-1"}
