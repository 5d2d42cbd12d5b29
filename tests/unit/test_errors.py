"""The errors are one family, drawn where it is defined, and carry their facts as attributes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from headrace import errors
from headrace.errors import (
    BlockingCall,
    DuplicateJob,
    EngineBusy,
    HeadraceError,
    InvalidArguments,
    InvalidOption,
    JobCancelled,
    JobDead,
    JobNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    QueueFull,
    ResultTimeout,
    TransactionTimeout,
    UnknownTask,
)

FAMILY = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, BaseException)
]

WITH_FACTS: list[tuple[HeadraceError, dict[str, object]]] = [
    (InvalidArguments("text", "/a"), {"pointer": "/a"}),
    (DuplicateJob("text", "1"), {"job_id": "1"}),
    (QueueFull("text", "q", 1.5), {"queue": "q", "retry_after": 1.5}),
    (ResultTimeout("text", "1", "running"), {"job_id": "1", "state": "running"}),
    (JobDead("text", "1", "expired"), {"job_id": "1", "cause": "expired", "traceback": ""}),
    (JobCancelled("text", "1", "purged", "tb"), {"cause": "purged", "traceback": "tb"}),
    (OutcomeUnknown("text", ["1", "2"]), {"job_ids": ("1", "2")}),
]


def drawn() -> dict[str, str]:
    """Return the parent of each class in the drawing at the top of the module."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([ │├└─]*)([A-Z]\w+)(?: {2,}|$)", line):
            depth = len(found[1])
            above = {d: name for d, name in above.items() if d < depth} | {depth: found[2]}
            parents[found[2]] = above[max((d for d in above if d < depth), default=depth)]
    return parents


def test_the_drawing_is_the_family() -> None:
    parents = drawn()
    assert set(parents) == {error.__name__ for error in FAMILY}
    for error in FAMILY:
        if error is not HeadraceError:
            assert parents[error.__name__] == error.__bases__[0].__name__


@pytest.mark.parametrize("error", FAMILY)
def test_everybody_is_of_the_family_and_says_what_it_is(error: type[BaseException]) -> None:
    assert issubclass(error, HeadraceError)
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InvalidOption, ValueError),
        (InvalidArguments, TypeError),
        (UnknownTask, LookupError),
        (BlockingCall, RuntimeError),
        (PayloadTooLarge, ValueError),
        (JobNotFound, LookupError),
        (ResultTimeout, TimeoutError),
        (TransactionTimeout, TimeoutError),
    ],
)
def test_what_python_has_a_word_for_can_be_caught_by_it(
    error: type[HeadraceError], builtin: type[Exception]
) -> None:
    assert issubclass(error, builtin)


@pytest.mark.parametrize(("error", "facts"), WITH_FACTS, ids=lambda value: type(value).__name__)
def test_facts_are_attributes(error: HeadraceError, facts: dict[str, object]) -> None:
    assert str(error) == "text"
    assert {name: getattr(error, name) for name in facts} == facts


@pytest.mark.parametrize(("error", "facts"), WITH_FACTS, ids=lambda value: type(value).__name__)
def test_an_error_can_be_copied_with_its_facts(
    error: HeadraceError, facts: dict[str, object]
) -> None:
    # Libraries do: concurrent.futures sends errors between processes, others copy and re-raise.
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - it is our own
        assert type(twin) is type(error)
        assert str(twin) == "text"
        assert {name: getattr(twin, name) for name in facts} == facts


def test_busy_is_no_refusal() -> None:
    assert not issubclass(EngineBusy, errors.Refused)
