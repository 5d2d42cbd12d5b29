"""A problem is what RFC 9457 says, and tells a client no more than it may know."""

from __future__ import annotations

import msgspec
import pytest

from headrace.errors import (
    Conflict,
    DuplicateJob,
    EngineBusy,
    HeadraceError,
    InvalidArguments,
    JobNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    QueueFull,
    StorageFull,
    UnknownTask,
    Unsupported,
)
from headrace.gateway.problem import TITLES, Problem, invalid, of, retry_after


def test_it_has_the_members_of_the_standard() -> None:
    problem = Problem("conflict", "why", {"X": "y"}, job_id="1")
    response = problem.response()
    assert response.media_type == "application/problem+json"
    assert response.headers["x"] == "y"
    assert msgspec.json.decode(bytes(response.body)) == {
        "type": "/v1/problems/conflict",
        "title": "It does not go with what is there",
        "status": 409,
        "detail": "why",
        "job_id": "1",
    }


def test_kinds_that_are_registered_have_the_registrys_type() -> None:
    place = "https://iana.org/assignments/http-problem-types#"
    assert Problem("quota-exceeded").content["type"] == place + "quota-exceeded"
    assert Problem("queue-full").content["type"] == "/v1/problems/queue-full"


def test_only_the_unexpected_is_a_500() -> None:
    assert [kind for kind, (status, _) in TITLES.items() if status == 500] == ["internal-error"]


def test_what_does_not_fit_is_listed() -> None:
    problem = invalid([("/a", "too big"), ("/b/0", "too small")])
    assert problem.status == 422
    assert problem.detail == "too big; too small"
    assert problem.content["errors"] == [
        {"pointer": "/a", "detail": "too big"},
        {"pointer": "/b/0", "detail": "too small"},
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "1"), (1.0, "1"), (1.1, "2")])
def test_nobody_comes_again_too_early(seconds: float, text: str) -> None:
    assert retry_after(seconds) == {"Retry-After": text}


@pytest.mark.parametrize(
    ("error", "kind", "headers"),
    [
        (QueueFull("full", "mail", 7.2), "queue-full", {"Retry-After": "8"}),
        (StorageFull("full"), "storage-full", {"Retry-After": "60"}),
        (PayloadTooLarge("big"), "payload-too-large", {}),
        (InvalidArguments("wrong"), "validation-failed", {}),
        (UnknownTask("which?"), "unknown-task", {}),
        (Unsupported("no"), "unsupported", {}),
        (JobNotFound("gone"), "not-found", {}),
        (Conflict("changed"), "conflict", {}),
        (EngineBusy("inside"), "engine-unavailable", {"Retry-After": "5"}),
        (HeadraceError("inside"), "internal-error", {"Retry-After": "5"}),
    ],
)
def test_errors_are_problems(error: HeadraceError, kind: str, headers: dict[str, str]) -> None:
    problem = of(error)
    assert (problem.kind, problem.headers) == (kind, headers)
    assert "inside" not in problem.detail


def test_ids_of_jobs_are_told() -> None:
    assert of(DuplicateJob("held", "7")).content["job_id"] == "7"
    unknown = of(OutcomeUnknown("inside", ["1", "2"])).content
    assert list(unknown["job_ids"]) == ["1", "2"]
    assert "ask for these jobs later" in unknown["detail"]
