"""An event is a CloudEvent and a Standard Webhooks payload, and tells nothing of the inside."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from headrace.gateway.caller import RESERVED_TAGS
from headrace.message import Message
from headrace.record import Failure, Record, State
from headrace.webhooks.event import HIDDEN_TAGS, PING, PRUNED, TYPES, ended, ping, pruned

JOB = "0198d3c2-7b1e-7000-8000-000000000001"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def message(**fields: Any) -> Message:
    return Message(v=1, id=JOB, task="report", body=msgspec.Raw(b"{}"), **fields)


def record(state: State = State.SUCCEEDED, **fields: Any) -> Record:
    given: dict[str, Any] = {
        "message": message(),
        "accepted_at": 1.0,
        "finished_at": 1_700_000_000.25,
        "attempt": 2,
    }
    return Record(state=state, **(given | fields))


def content(**fields: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(ended(record(**fields), "e").body)
    return decoded


def test_it_has_what_both_standards_want() -> None:
    event = content(result=msgspec.Raw(b'{"pages":3}'))
    assert event == {
        "specversion": "1.0",
        "id": "e",
        "source": "urn:headrace:jobs",
        "type": "headrace.job.succeeded",
        "subject": JOB,
        "time": "2023-11-14T22:13:20.250Z",
        "timestamp": "2023-11-14T22:13:20.250Z",
        "datacontenttype": "application/json",
        "data": {
            "id": JOB,
            "state": "succeeded",
            "task": "report",
            "queue": "default",
            "tags": [],
            "attempt": 2,
            "finished_at": "2023-11-14T22:13:20.250Z",
            "result": {"pages": 3},
            "failure": None,
            "links": {"self": f"/v1/jobs/{JOB}", "result": f"/v1/jobs/{JOB}/result"},
        },
    }
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in event)
    assert all(re.fullmatch(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*", kind) for kind in (*TYPES, PING))


def test_a_large_result_is_left_to_the_link() -> None:
    fits = msgspec.Raw(b'"' + b"x" * (16 * 1024 - 2) + b'"')
    assert content(result=fits)["data"]["result"] is not None
    assert content(result=msgspec.Raw(bytes(fits) + b" "))["data"]["result"] is None


def test_it_is_never_larger_than_what_is_forwarded_everywhere() -> None:
    failure = Failure(cause="error", type="E", message="\x00" * 1_000_000)
    tags = tuple(f"{n}" * 100 for n in range(32))
    largest = record(
        result=msgspec.Raw(b'"' + b"x" * 16_000 + b'"'), failure=failure, message=message(tags=tags)
    )
    assert len(ended(largest, "e").body) <= 64 * 1024


def test_failures_are_told_without_the_inside() -> None:
    failure = Failure(
        cause="attempts-spent", type="OSError", message="gone", traceback="Traceback", holder="w",
        logs=("line",),
    )  # fmt: skip
    event = content(state=State.DEAD, failure=failure)
    assert event["type"] == "headrace.job.dead"
    told = {"cause": "attempts-spent", "type": "OSError", "message": "gone"}
    assert event["data"]["failure"] == told


def test_reserved_tags_are_not_told() -> None:
    tags = ("april", "tenant:acme", "trace:1")
    assert content(message=message(tags=tags))["data"]["tags"] == ["april"]
    assert set(HIDDEN_TAGS) >= set(RESERVED_TAGS)


def test_a_trace_goes_on_if_it_is_one() -> None:
    assert content(message=message(trace=TRACE))["traceparent"] == TRACE
    assert "traceparent" not in content(message=message(trace="mine"))
    assert "traceparent" not in content()


def test_a_job_that_is_forgotten_is_told_all_the_same() -> None:
    event = pruned(JOB, "report", "default", ("april", "tenant:acme"), "e")
    told = json.loads(event.body)
    assert (event.type, told["type"]) == (PRUNED, PRUNED)
    assert told["data"] == {
        "id": JOB, "state": None, "task": "report", "queue": "default", "tags": ["april"],
    }  # fmt: skip
    assert told["time"].startswith("2025-08")
    assert json.loads(pruned("odd", "t", "q", (), "e").body)["time"].startswith("1970")


def test_a_ping_says_for_whom_it_is() -> None:
    event = ping("ep", "e", 0.0)
    assert json.loads(event.body)["data"] == {"endpoint": "ep"}
    assert event.type == PING
