"""A trace to draw: a report that failed, snoozed and lost its worker, and what it set in motion."""

from __future__ import annotations

import msgspec

from headrace.message import Message
from headrace.record import Attempt, Failure, Record, State
from headrace.trace import PARENT, RECEIVED

BEGAN = 1_767_225_600.0
NOW = BEGAN + 12
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


def job_id(number: int, after: float = 0.0) -> str:
    milliseconds = f"{int((BEGAN + after) * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-{number:012x}"


def message(number: int, task: str, after: float = 0.0, **headers: str) -> Message:
    return Message(
        v=1,
        id=job_id(number, after),
        task=task,
        body=msgspec.Raw(b"{}"),
        headers={name.replace("_", "-"): text for name, text in headers.items()},
        trace=f"00-{TRACE_ID}-{number:016x}-01",
    )


def failed(number: int, after: float, seconds: float | None, cause: str, text: str = "") -> Attempt:
    failure = Failure(cause=cause, message=text, seconds=seconds)
    return Attempt(number=number, ended_at=BEGAN + after, failure=failure)


REPORT = Record(
    message=message(1, "report", headrace_received=f"{BEGAN:.6f} {CALLER}"),
    state=State.SUCCEEDED,
    accepted_at=BEGAN + 0.012,
    attempt=3,
    finished_at=BEGAN + 9.5,
    seconds=1.2,
    result=msgspec.Raw(b"1"),
    history=(
        failed(1, 1.012, 0.8, "error", "the printer is away and will be back on Monday"),
        failed(2, 3.0, 0.1, "snooze", "busy"),
        failed(2, 6.0, None, "lease-lost"),
    ),
)
HOOK = Record(
    message=message(2, "webhook", 9.59, headrace_parent=REPORT.id),
    state=State.DEAD,
    accepted_at=BEGAN + 9.65,
    attempt=1,
    finished_at=BEGAN + 10,
    history=(failed(1, 10.0, 0.3, "rejected", "410 Gone"),),
)
PAGE = Record(
    message=message(3, "page", 9.0, headrace_parent=REPORT.id),
    state=State.READY,
    accepted_at=BEGAN + 9.001,
    reason="queue-paused",
)
RECORDS = (HOOK, REPORT, PAGE)
assert PARENT == "headrace-parent"
assert RECEIVED == "headrace-received"
