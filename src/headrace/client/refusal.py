"""Refusal: from a problem that a gateway answered (RFC 9457) to one of Headrace's errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.client.exchange import Answer
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


class Problem(msgspec.Struct, frozen=True):
    """The members of a problem that a client makes use of (RFC 9457 §3.1)."""

    type: str = ""
    title: str = ""
    detail: str = ""
    errors: tuple[dict[str, Any], ...] = ()
    job_id: str = ""
    job_ids: tuple[str, ...] = ()
    queue: str = ""

    @property
    def place(self) -> str:
        """Where the first thing is that does not fit: a JSON Pointer; empty if nobody said."""
        pointers = (error.get("pointer") for error in self.errors)
        return next(filter(None, pointers), "")


def refusal(answer: Answer) -> HeadraceError:
    """Return the error that an answer stands for."""
    if answer.status == 0:
        return GatewayError(f"the gateway does not answer: {answer.trouble}", 0, "unreachable")
    problem = _problem(answer)
    kind = problem.type.rpartition("/")[2]
    text = problem.detail or problem.title or f"HTTP status {answer.status}"
    if (make := _MADE.get(kind)) is not None:
        return make(text, problem, answer)
    return GatewayError(f"the gateway answered {answer.status}: {text}", answer.status, kind)


def waiting(answer: Answer) -> float | None:
    """Return the seconds after which an answer asks to come again; None if it does not."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _problem(answer: Answer) -> Problem:
    try:
        return msgspec.json.decode(answer.body, type=Problem)
    except msgspec.MsgspecError:  # a proxy on the way answered
        return Problem()


_MADE: dict[str, Callable[[str, Problem, Answer], HeadraceError]] = {
    "queue-full": lambda text, told, answer: QueueFull(text, told.queue, waiting(answer) or 1.0),
    "duplicate-job": lambda text, told, _: DuplicateJob(text, told.job_id),
    "validation-failed": lambda text, told, _: InvalidArguments(text, told.place),
    "unknown-task": lambda text, _, __: UnknownTask(text),
    "not-found": lambda text, _, __: JobNotFound(text),
    "payload-too-large": lambda text, _, __: PayloadTooLarge(text),
    "storage-full": lambda text, _, __: StorageFull(text),
    "outcome-unknown": lambda text, told, _: OutcomeUnknown(text, told.job_ids),
}
