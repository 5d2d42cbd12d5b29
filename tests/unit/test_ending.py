"""Whatever a run returns or raises becomes plain data, and nothing of it can break that."""

import json
from typing import Any, NoReturn

import msgspec
import pytest
from msgspec import Raw

from headrace.codec import Returns
from headrace.ending import (
    MESSAGE_LIMIT,
    TRACEBACK_LIMIT,
    Ending,
    Endings,
    RunTimeout,
    describe,
    never_began,
)
from headrace.errors import LeaseLost
from headrace.outcome import Cancel, Dead, Done, Release, Retry, Snooze
from headrace.record import Cause, Failure
from headrace.retry import ExceptionRules


def whole(n: int) -> int:
    return n


def free(n: object) -> Any:
    return n


TYPED = Endings(Returns(whole, "whole"), ExceptionRules(), 100)
FREE = Endings(Returns(free, "free"), ExceptionRules(), 100)


def raised(error: BaseException) -> BaseException:
    """Return an exception as it is when it was caught."""

    def inner() -> NoReturn:
        raise error

    try:
        inner()
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


def failure_of(ending: Ending) -> Failure:
    assert ending.failure is not None
    return ending.failure


def test_a_value_is_a_result() -> None:
    ending = TYPED.of_value(3)
    assert (ending.kind, ending.result, ending.failure) == ("done", Raw(b"3"), None)


@pytest.mark.parametrize(
    ("outcome", "kind", "cause", "delay"),
    [
        (Retry("busy", delay=9), "retry", Cause.RETRY, 9),
        (Retry("busy"), "retry", Cause.RETRY, None),
        (Snooze(60, "busy"), "snooze", Cause.SNOOZE, 60),
        (Cancel("busy"), "cancel", Cause.CANCELLED, None),
        (Dead("busy"), "dead", Cause.REJECTED, None),
    ],
)
def test_outcomes_are_returned_or_raised(
    outcome: Exception, kind: str, cause: Cause, delay: float | None
) -> None:
    for ending in (TYPED.of_value(outcome), TYPED.of_error(outcome)):
        assert (ending.kind, ending.delay) == (kind, delay)
        assert (failure_of(ending).cause, failure_of(ending).message) == (cause, "busy")


def test_done_ends_a_run_early_with_a_result() -> None:
    assert TYPED.of_error(Done(4)).result == Raw(b"4")


@pytest.mark.parametrize("error", [Release(), LeaseLost("another worker has it")])
def test_release_leaves_no_trace(error: Exception) -> None:
    assert TYPED.of_error(error) == Ending(kind="release")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("text", "'text'"), (object, "<class 'object'>")],
)
def test_a_result_that_cannot_be_stored_is_shown(value: object, shown: str) -> None:
    ending = TYPED.of_value(value)
    assert ending.kind == "dead"
    assert failure_of(ending).cause == Cause.RESULT_REJECTED
    assert shown in failure_of(ending).message


def test_a_result_that_is_too_large_is_shown_in_part() -> None:
    ending = FREE.of_value("x" * 10_000)
    assert failure_of(ending).cause == Cause.RESULT_REJECTED
    assert "10002 bytes, more than the 100 allowed" in failure_of(ending).message
    assert 2000 < len(failure_of(ending).message) < 2 * MESSAGE_LIMIT + 10


def test_a_result_whose_repr_fails_is_rejected_all_the_same() -> None:
    class Sly:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "Sly whose repr raises RuntimeError" in failure_of(FREE.of_value(Sly())).message


def test_a_failure_has_type_message_and_traceback() -> None:
    ending = TYPED.of_error(raised(KeyError("gone")), ["a line"])
    failure = failure_of(ending)
    assert (ending.kind, ending.again) == ("failed", True)
    assert (failure.cause, failure.type, failure.message) == (Cause.ERROR, "KeyError", "'gone'")
    assert failure.logs == ("a line",)
    assert "in inner" in failure.traceback
    assert "in raised" not in failure.traceback


def test_a_timeout_has_a_cause_of_its_own() -> None:
    assert failure_of(TYPED.of_error(RunTimeout("late"))).cause == Cause.TIMEOUT
    assert failure_of(TYPED.of_error(TimeoutError("the user's own"))).cause == Cause.ERROR


def test_the_tasks_rules_are_applied_where_the_classes_are() -> None:
    rules = ExceptionRules(only=(OSError,), never=(FileNotFoundError,))
    endings = Endings(Returns(whole, "whole"), rules, 100)
    assert endings.of_error(ConnectionError()).again
    assert not endings.of_error(FileNotFoundError()).again
    assert not endings.of_error(ValueError()).again


def test_an_exception_that_cannot_print_itself_is_described_all_the_same() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    failure = describe(raised(Silent()), Cause.ERROR)
    assert failure.type.endswith("Silent")
    assert failure.message


def test_texts_are_cut_and_always_have_a_form_in_json() -> None:
    failure = describe(raised(ValueError("\ud800" + "x" * 50_000)), Cause.ERROR)
    assert len(failure.message) == MESSAGE_LIMIT
    assert len(failure.traceback) == TRACEBACK_LIMIT
    assert json.loads(msgspec.json.encode(failure))["message"].startswith("?x")


def test_a_run_that_never_began_is_dead() -> None:
    ending = never_began(Cause.UNKNOWN_TASK, "no such task")
    assert ending.kind == "dead"
    assert failure_of(ending) == Failure(cause=Cause.UNKNOWN_TASK, message="no such task")


def test_an_ending_crosses_the_border_of_a_process() -> None:
    for ending in (
        TYPED.of_value(3),
        TYPED.of_error(Snooze(2)),
        TYPED.of_error(raised(ValueError("x"))),
    ):
        assert msgspec.json.decode(msgspec.json.encode(ending), type=Ending) == ending
