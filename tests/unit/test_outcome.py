"""Outcomes: raised or returned, compared by what they say."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from headrace.errors import HeadraceError, InvalidOption
from headrace.outcome import Cancel, Dead, Done, Outcome, Release, Retry, Snooze

ONE_OF_EACH: list[Outcome] = [
    Done({"a": [1]}),
    Snooze(5.0, "not yet"),
    Cancel("no longer wanted"),
    Dead("hopeless"),
    Release(),
    Retry("again"),
]


@pytest.mark.parametrize("outcome", ONE_OF_EACH, ids=repr)
def test_an_outcome_can_be_raised(outcome: Outcome) -> None:
    with pytest.raises(type(outcome)) as raised:
        raise outcome
    assert raised.value is outcome


@pytest.mark.parametrize("outcome", ONE_OF_EACH, ids=repr)
def test_an_outcome_is_no_error_of_ours(outcome: Outcome) -> None:
    assert not isinstance(outcome, HeadraceError)


@pytest.mark.parametrize("outcome", ONE_OF_EACH, ids=repr)
def test_an_outcome_has_a_hash_and_can_be_copied(outcome: Outcome) -> None:
    twin = copy.copy(outcome)
    assert twin == outcome
    assert hash(twin) == hash(outcome)


def test_different_kinds_differ() -> None:
    for one in ONE_OF_EACH:
        assert [other == one for other in ONE_OF_EACH].count(True) == 1


def test_different_values_differ() -> None:
    assert Done(1) != Done(2)
    assert Snooze(1) != Snooze(2)
    assert Snooze(1, "a") != Snooze(1, "b")
    assert Cancel("a") != Cancel("b")
    assert Dead("a") != Dead()
    assert Release() == Release()
    assert Done() == Done(None)


def test_a_reason_is_the_text() -> None:
    assert str(Dead("hopeless")) == "hopeless"
    assert Cancel("why").reason == "why"
    assert Snooze(3, "why").reason == "why"
    assert Snooze(3).delay == 3
    assert Done().value is None


@pytest.mark.parametrize("delay", [0, 0.5, 86_400 * 366])
def test_a_snooze_takes_seconds(delay: float) -> None:
    assert Snooze(delay).delay == delay


class Special(float):
    """A float as libraries have them."""

    def __repr__(self) -> str:
        return f"Special({float(self)})"


def test_a_delay_becomes_a_plain_number() -> None:
    snooze, retry = Snooze(Special(5)), Retry(delay=Special(5), jitter=Special(0))
    numbers = [snooze.delay, retry.delay, retry.policy.delay, retry.policy.jitter]
    assert [repr(number) for number in numbers] == ["5.0", "5.0", "5.0", "0.0"]


@pytest.mark.parametrize(
    "delay", [-0.1, float("nan"), float("inf"), float("-inf"), 1e300, "5", None, True]
)
def test_a_snooze_refuses_what_is_no_time_to_come(delay: Any) -> None:
    with pytest.raises(InvalidOption, match="Snooze"):
        Snooze(delay)
