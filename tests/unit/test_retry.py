"""How a job is tried again: bounds, waits and which exceptions are worth it."""

from __future__ import annotations

import copy
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidOption
from headrace.retry import ExceptionRules, Retry, RetryPolicy

NAN, INFINITY = float("nan"), float("inf")

policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 10_000),
    delay=st.floats(0, 366 * 86_400),
    factor=st.floats(1, 100),
    max_delay=st.floats(0, 366 * 86_400),
    jitter=st.floats(0, 1),
)
fractions = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("attempts", [1, 10_000], [0, -1, 10_001, 2.5, 3.0, True, NAN, "5"]),
        ("delay", [0, 0.5, 31_622_400], [-0.1, 31_622_401, NAN, INFINITY, "5", True, None]),
        ("factor", [1, 1.5, 100], [0.99, 101, NAN, INFINITY, "2"]),
        ("max_delay", [0, 31_622_400], [-1, 31_622_401, NAN, INFINITY, b"1"]),
        ("jitter", [0, 0.5, 1], [-0.01, 1.01, NAN, INFINITY, [0.5]]),
    ],
)
def test_every_number_has_its_range(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(RetryPolicy(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(InvalidOption, match=name):
            RetryPolicy(**{name: value})
    for value in (value for value in bad if value is not None):
        with pytest.raises(InvalidOption, match=name):
            Retry(**{name: value})


@pytest.mark.parametrize("text", ['{"attempts":0}', '{"jitter":2}', '{"factor":0.5}'])
def test_the_ranges_hold_for_what_comes_over_the_wire(text: str) -> None:
    with pytest.raises((InvalidOption, msgspec.ValidationError)):
        msgspec.json.decode(text, type=RetryPolicy)


@given(policies)
def test_a_policy_survives_the_wire(policy: RetryPolicy) -> None:
    assert msgspec.json.decode(msgspec.json.encode(policy), type=RetryPolicy) == policy


def test_waits_grow_up_to_their_limit() -> None:
    policy = RetryPolicy(delay=5, factor=3, max_delay=100, jitter=0)
    waits = [policy.wait_after(attempt, 0.5) for attempt in range(1, 6)]
    assert waits == [5, 15, 45, 100, 100]


def test_waits_are_spread_on_both_sides() -> None:
    policy = RetryPolicy(delay=100, jitter=0.25, max_delay=1000)
    assert policy.wait_after(1, 0.0) == 75
    assert policy.wait_after(1, 0.5) == 100
    assert math.isclose(policy.wait_after(1, 1 - 1e-12), 125)


def test_waits_at_the_limit_are_still_spread() -> None:
    policy = RetryPolicy(delay=1000, jitter=0.25, max_delay=100)
    assert len({policy.wait_after(1, number / 10) for number in range(10)}) == 10


@given(policies, st.integers(1, 10_000), fractions)
def test_no_wait_is_negative_endless_or_over_the_limit(
    policy: RetryPolicy, attempt: int, fraction: float
) -> None:
    wait = policy.wait_after(attempt, fraction)
    assert 0 <= wait <= policy.max_delay * (1 + 1e-12)


@pytest.mark.parametrize("attempt", [500, 1_000, 10_000])
def test_many_attempts_do_not_overflow(attempt: int) -> None:
    assert RetryPolicy(factor=100, jitter=0).wait_after(attempt, 0) == 3600
    assert RetryPolicy(factor=1, jitter=0).wait_after(attempt, 0) == 5
    assert RetryPolicy(delay=0).wait_after(attempt, 0) == 0


def test_what_is_not_given_keeps_its_default() -> None:
    assert Retry().policy == RetryPolicy()
    assert Retry(attempts=2, factor=1).policy == RetryPolicy(attempts=2, factor=1)


def test_a_raised_retry_tells_its_reason_and_its_delay() -> None:
    with pytest.raises(Retry, match="rate limited") as raised:
        raise Retry("rate limited", delay=60)
    assert raised.value.reason == "rate limited"
    assert raised.value.delay == 60
    assert Retry("rate limited").delay is None


def test_retries_compare_by_what_they_say() -> None:
    assert Retry("a", delay=1) == Retry("a", delay=1)
    assert hash(Retry("a", delay=1)) == hash(Retry("a", delay=1))
    assert Retry("a", delay=1) != Retry("a", delay=2)
    assert Retry("a") != Retry("b")
    assert Retry(only=(OSError,)) != Retry()
    assert Retry() != "Retry()"
    assert "delay=1.0" in repr(Retry(delay=1.0))


def test_a_retry_can_be_copied() -> None:
    retry = Retry("a", attempts=3, never=(OSError,))
    assert copy.copy(retry) == retry


def test_every_exception_is_worth_another_attempt_by_default() -> None:
    assert ExceptionRules().allow(ValueError())


def test_only_and_never() -> None:
    rules = Retry(only=(OSError,), never=(PermissionError,)).rules
    assert rules.allow(OSError())
    assert rules.allow(ConnectionResetError())
    assert not rules.allow(PermissionError())
    assert not rules.allow(ValueError())


def test_nothing_is_worth_it_when_only_is_empty() -> None:
    assert not Retry(only=()).rules.allow(ValueError())


@pytest.mark.parametrize("classes", [OSError, [OSError], ("OSError",), (OSError(),), (int,)])
@pytest.mark.parametrize("name", ["only", "never"])
def test_exception_rules_are_tuples_of_exceptions(name: str, classes: Any) -> None:
    with pytest.raises(InvalidOption, match=name):
        Retry(**{name: classes})
