"""Every ending becomes the one settlement that the tables of the design ask for."""

from typing import Any

import pytest
from msgspec import Raw

from headrace.ending import Ending
from headrace.record import Cause, Failure, State
from headrace.retry import RetryPolicy
from headrace.worker.decision import decide, released
from headrace.worker.run import Stopped
from tests.unit.worker.stage import lease

POLICY = RetryPolicy(attempts=3, delay=10, factor=2, jitter=0)
ERROR = Failure(cause=Cause.ERROR, type="ValueError", message="no")


def decided(ending: Ending, stopped: Stopped = "", attempt: int = 1) -> dict[str, Any]:
    settlement = decide(lease(attempt=attempt), ending, POLICY, stopped, lambda: 0.5)
    cause = settlement.failure.cause if settlement.failure else None
    return {
        "to": settlement.to,
        "counted": settlement.counted,
        "delay": settlement.delay,
        "cause": cause,
    }


@pytest.mark.parametrize(
    ("ending", "to", "counted", "delay", "cause"),
    [
        (Ending(kind="done", result=Raw(b"1")), State.SUCCEEDED, True, 0, None),
        (Ending(kind="failed", failure=ERROR), State.SCHEDULED, True, 10, Cause.ERROR),
        (Ending(kind="retry", delay=7.0), State.SCHEDULED, True, 7, None),
        (Ending(kind="retry"), State.SCHEDULED, True, 10, None),
        (Ending(kind="snooze", delay=60.0), State.SCHEDULED, False, 60, None),
        (Ending(kind="cancel"), State.CANCELLED, True, 0, None),
        (Ending(kind="dead"), State.DEAD, True, 0, None),
        (Ending(kind="release"), State.READY, False, 0, None),
        (
            Ending(kind="failed", failure=ERROR, again=False),
            State.DEAD, True, 0, Cause.NOT_RETRIED,
        ),
    ],
)  # fmt: skip
def test_each_ending_has_its_meaning(
    ending: Ending, to: State, *, counted: bool, delay: float, cause: Cause | None
) -> None:
    expected = {"to": to, "counted": counted, "delay": delay, "cause": cause}
    assert decided(ending) == expected


def test_a_result_is_passed_on() -> None:
    settlement = decide(lease(), Ending(kind="done", result=Raw(b"[1]")), POLICY, "", lambda: 0.5)
    assert settlement.result == Raw(b"[1]")


def test_waits_grow_with_the_attempts() -> None:
    assert decided(Ending(kind="failed", failure=ERROR), attempt=2)["delay"] == 20


@pytest.mark.parametrize("kind", ["failed", "retry"])
def test_the_last_attempt_ends_dead(kind: Any) -> None:
    ended = decided(Ending(kind=kind, delay=1.0, failure=ERROR), attempt=3)
    assert ended["to"] is State.DEAD
    assert ended["cause"] == Cause.ATTEMPTS_SPENT


def test_a_snooze_is_possible_after_the_last_attempt() -> None:
    assert decided(Ending(kind="snooze", delay=1.0), attempt=3)["to"] is State.SCHEDULED


@pytest.mark.parametrize("stopped", ["cancelled", "stopping", "timeout"])
def test_a_run_that_ended_well_has_won(stopped: Stopped) -> None:
    assert decided(Ending(kind="done", result=Raw(b"1")), stopped)["to"] is State.SUCCEEDED


@pytest.mark.parametrize("kind", ["failed", "retry", "snooze", "cancel", "release"])
def test_a_cancelled_run_is_not_tried_again(kind: Any) -> None:
    ended = decided(Ending(kind=kind, delay=1.0, failure=ERROR), "cancelled")
    assert ended["to"] is State.CANCELLED
    assert ended["cause"] == Cause.CANCELLED


@pytest.mark.parametrize("kind", ["failed", "cancel", "release"])
def test_a_run_cut_short_by_a_shutdown_is_handed_back_uncounted(kind: Any) -> None:
    ended = decided(Ending(kind=kind, failure=ERROR), "stopping")
    assert ended == {"to": State.READY, "counted": False, "delay": 0, "cause": None}


def test_a_rejected_result_stays_dead_at_a_shutdown() -> None:
    assert decided(Ending(kind="dead", failure=ERROR), "stopping")["to"] is State.DEAD


def test_released_is_not_counted() -> None:
    settlement = released(lease())
    assert (settlement.to, settlement.counted, settlement.failure) == (State.READY, False, None)
