"""A trace as spans is what a collector accepts."""

from __future__ import annotations

import re
from typing import Any

from headrace.observe.life import grow
from headrace.observe.spans import document
from tests.unit.observe.past import BEGAN, CALLER, NOW, RECORDS, TRACE_ID


def spans() -> list[dict[str, Any]]:
    told = document(TRACE_ID, grow(RECORDS, NOW), "1.2.3")
    ((scoped,),) = [resource["scopeSpans"] for resource in told["resourceSpans"]]
    assert scoped["scope"] == {"name": "headrace", "version": "1.2.3"}
    found: list[dict[str, Any]] = scoped["spans"]
    return found


def attributes(span: dict[str, Any]) -> dict[str, str]:
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


def test_every_span_is_well_formed_and_in_the_trace() -> None:
    assert len(spans()) == 8
    for span in spans():
        assert span["traceId"] == TRACE_ID
        assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
        assert re.fullmatch("([0-9a-f]{16})?", span["parentSpanId"])
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    assert len({span["spanId"] for span in spans()}) == 8


def test_the_request_comes_first_below_its_caller() -> None:
    request, first, *_ = spans()
    assert (request["parentSpanId"], request["kind"]) == (CALLER, 2)
    assert request["startTimeUnixNano"] == str(round(BEGAN * 1e9))
    assert (first["parentSpanId"], first["kind"]) == (request["spanId"], 5)


def test_spans_are_named_and_described_by_the_conventions() -> None:
    request, first, second, *_ = spans()
    assert (request["name"], first["name"]) == ("send default", "process default")
    assert attributes(first) == {
        "messaging.system": "headrace",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": RECORDS[1].id,
        "headrace.task": "report",
        "headrace.attempt": "1",
        "headrace.wait_ms": "200",
        "error.type": "error",
    }
    assert first["status"]["code"] == 2
    assert [link["spanId"] for link in second["links"]] == [first["spanId"]]


def test_jobs_that_came_together_share_one_span() -> None:
    twins = [RECORDS[0], RECORDS[0]]
    told = document(TRACE_ID, grow(twins, NOW), "1")
    found = told["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len({span["spanId"] for span in found}) == len(found) == 2
