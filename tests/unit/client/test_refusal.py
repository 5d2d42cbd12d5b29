"""What a gateway refuses is raised as the error that a program without a gateway would get."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.client.exchange import Answer
from headrace.client.refusal import refusal, waiting
from headrace.errors import (
    DuplicateJob,
    GatewayError,
    HeadraceError,
    InvalidArguments,
    JobNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    QueueFull,
    StorageFull,
    UnknownTask,
)


def problem(kind: str, status: int = 400, **members: Any) -> Answer:
    told = {"type": f"/v1/problems/{kind}", "title": "A title", "detail": "because", **members}
    return Answer(status, {"retry-after": "7"}, msgspec.json.encode(told))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("duplicate-job", DuplicateJob),
        ("validation-failed", InvalidArguments),
        ("unknown-task", UnknownTask),
        ("not-found", JobNotFound),
        ("payload-too-large", PayloadTooLarge),
        ("storage-full", StorageFull),
        ("outcome-unknown", OutcomeUnknown),
        ("queue-full", QueueFull),
    ],
)
def test_a_problem_is_the_error_it_stands_for(kind: str, error: type[HeadraceError]) -> None:
    raised = refusal(problem(kind))
    assert type(raised) is error
    assert str(raised) == "because"


def test_what_a_problem_knows_is_in_the_error() -> None:
    duplicate = refusal(problem("duplicate-job", job_id="1"))
    unknown = refusal(problem("outcome-unknown", job_ids=["1", "2"]))
    full = refusal(problem("queue-full", queue="mail"))
    assert isinstance(duplicate, DuplicateJob)
    assert duplicate.job_id == "1"
    assert isinstance(unknown, OutcomeUnknown)
    assert unknown.job_ids == ("1", "2")
    misfit = refusal(problem("validation-failed", errors=[{"pointer": "/arguments/left"}]))
    assert isinstance(full, QueueFull)
    assert (full.queue, full.retry_after) == ("mail", 7.0)
    assert isinstance(misfit, InvalidArguments)
    assert misfit.pointer == "/arguments/left"


def test_another_problem_is_told_by_its_kind() -> None:
    error = refusal(problem("forbidden", 403))
    assert isinstance(error, GatewayError)
    assert (error.status, error.kind) == (403, "forbidden")


def test_what_a_proxy_answers_is_told_by_its_status() -> None:
    error = refusal(Answer(502, {}, b"<html>bad gateway</html>"))
    assert isinstance(error, GatewayError)
    assert str(error) == "the gateway answered 502: HTTP status 502"


def test_no_answer_is_told_with_its_reason() -> None:
    error = refusal(Answer(0, trouble="connection refused"))
    assert isinstance(error, GatewayError)
    assert (error.status, error.kind) == (0, "unreachable")
    assert "connection refused" in str(error)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3", 3.0), ("", None), ("Sun, 22 Nov 2026 03:00:00 GMT", None)]
)
def test_seconds_to_wait_are_read(text: str, seconds: float | None) -> None:
    assert waiting(Answer(503, {"retry-after": text})) == seconds
