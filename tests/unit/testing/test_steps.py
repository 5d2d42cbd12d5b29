"""The steps of the suites: labels that hide in ids, and calls that do one thing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from headrace.engine import Engine
from headrace.engines.memory import MemoryEngine
from headrace.errors import DuplicateJob
from headrace.record import State
from headrace.testing import ManualClock, steps
from headrace.write import Lease


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = MemoryEngine(clock=ManualClock())
    engine.open().wait(0)
    yield engine
    engine.close().wait(0)


@pytest.mark.parametrize("label", ["a", "0", "urgent", "a b", "~"])
def test_a_label_hides_in_an_id(label: str) -> None:
    name = steps.job_id(label)
    assert uuid.UUID(name).version == 7
    assert steps.label_of(name) == label


@pytest.mark.parametrize("label", ["", "toolong", "é"])
def test_what_does_not_fit_an_id_is_no_label(label: str) -> None:
    with pytest.raises(ValueError, match=r"label|ascii"):
        steps.job_id(label)


def test_the_order_of_labels_is_not_the_order_of_sending(engine: Engine) -> None:
    steps.send(engine, "z", "a")
    assert steps.labels(steps.claim(engine, 2)) == ["z", "a"]
    assert steps.job_id("a") < steps.job_id("z")


def test_a_step_raises_what_the_engine_answers(engine: Engine) -> None:
    steps.send(engine, "a")
    with pytest.raises(DuplicateJob):
        steps.send(engine, "a")


def test_claiming_one_asks_for_exactly_one(engine: Engine) -> None:
    with pytest.raises(AssertionError, match="claimable"):
        steps.claim_one(engine)
    steps.send(engine, "a", "b")
    assert steps.claim_one(engine).job_id == steps.job_id("a")


def test_each_end_of_a_run(engine: Engine) -> None:
    ends: dict[str, Callable[[Engine, Lease], object]]
    ends = {"a": steps.settle, "b": steps.fail, "c": steps.bury, "d": steps.release}
    steps.send(engine, *ends)
    for lease, end in zip(steps.claim(engine, 4), ends.values(), strict=True):
        end(engine, lease)
    assert [steps.state(engine, name) for name in ends] == [
        State.SUCCEEDED,
        State.READY,
        State.DEAD,
        State.READY,
    ]
    assert [steps.record(engine, name).attempt for name in ends] == [1, 1, 1, 0]


def test_unknown_jobs_have_no_state_and_no_record(engine: Engine) -> None:
    assert steps.state(engine, "a") is None
    with pytest.raises(AssertionError, match="'a'"):
        steps.record(engine, "a")


def test_housekeeping_goes_on_until_nothing_is_left() -> None:
    clock = ManualClock()
    engine = MemoryEngine(clock=clock)
    engine.open().wait(0)
    names = [f"{n}" for n in range(2500)]
    steps.send(engine, *names, expires_after=1.0)
    clock.advance(2)
    assert steps.maintain(engine).expired == 2500
    clock.advance(40 * 86_400)
    assert steps.maintain(engine).pruned == 2500
    engine.close().wait(0)
