"""What one HTTP request sets in motion is one trace: over the wire, the queue and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.faults.processes import Processes, until

HEADRACE = str(Path(sys.executable).with_name("headrace"))
PROGRAM = "tests.system.traced"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    url = f"sqlite:///{tmp_path}/jobs.db"
    monkeypatch.setenv("SYSTEM_URL", url)
    monkeypatch.setenv("HEADRACE_URL", url)
    monkeypatch.setenv("HEADRACE_DURABILITY", "crash")
    monkeypatch.setenv("HEADRACE_LOG_FORMAT", "json")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with Processes(tmp_path) as processes:
        yield processes


def headrace(*arguments: str) -> str:
    command = [HEADRACE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def serve(processes: Processes) -> str:
    """Start a gateway; return where it is."""
    server = processes.python("uvicorn", f"{PROGRAM}:gateway", "--port", "0")
    server.expect("Uvicorn running on ")
    return server.output().partition("running on ")[2].split()[0]


def test_a_request_is_followed_to_the_last_of_its_jobs(processes: Processes) -> None:
    worker = processes.start(HEADRACE, "worker", f"{PROGRAM}:app")
    fields = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "mine=1"}
    answer = httpx2.post(f"{serve(processes)}/v1/tasks/tree", json={}, headers=fields)
    assert answer.status_code == 202
    job_id = answer.json()["id"]
    until(
        lambda: headrace("trace", TRACE_ID).count(" succeeded\n") == 2,
        "two jobs that succeeded", 60, show=worker.output,
    )  # fmt: skip
    drawn = headrace("trace", TRACE_ID)
    assert headrace("trace", job_id) == drawn
    title, *rows = drawn.splitlines()
    assert title.startswith(f"trace {TRACE_ID} began ")
    assert max(map(len, rows)) <= 80
    found = [row[:22].rstrip() for row in rows if " wait " not in row]
    assert found[:4] == [
        f"tree {job_id}"[:22], "  HTTP request", "  run 1: ValueError: t", "  run 2"
    ]  # fmt: skip
    assert [row.split()[0] for row in found[4:]] == ["leaf", "submit", "run"]
    heard = [json.loads(line) for line in worker.output().splitlines() if line.startswith("{")]
    (line,) = [line for line in heard if line["message"] == "rustling"]
    assert (line["trace_id"], line["task"], line["attempt"]) == (TRACE_ID, "leaf", 1)
