"""The report says equal only if every file was examined, with the same result."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.cli.crew import Accident
from headrace.cli.demo_report import (
    Outcome,
    OverHttp,
    Report,
    Stage,
    document_of,
    print_report,
)
from headrace.cli.library import Examination
from headrace.message import Message
from headrace.record import Record, State

FILES = ("a.py", "b.py")


def record(number: int, functions: int = 1, pid: int = 7) -> Record:
    examination = Examination(file=FILES[number], lines=3, functions=functions)
    return Record(
        message=Message(v=1, id=f"job-{number}", task="examine", body=msgspec.Raw(b"{}")),
        state=State.SUCCEEDED,
        accepted_at=0.0,
        result=msgspec.Raw(msgspec.json.encode(Report(examination, pid))),
    )


def outcome(**changes: Any) -> Outcome:
    stage = Stage(2, 0.5)
    plain = {file: Examination(file=file, lines=3, functions=1) for file in FILES}
    fields = {
        "durability": "power",
        "lease": 30.0,
        "submit": stage,
        "drain": stage,
        "loop": stage,
        "plain": plain,
        "records": [record(0), record(1)],
        "accident": Accident(pid=99, holder="me", finished=1, held=("job-1",)),
        **changes,
    }
    return Outcome(**fields)


def test_equal(capsys: pytest.CaptureFixture[str]) -> None:
    good = outcome()
    assert good.equal
    assert good.lost == 0
    print_report(good)
    out = capsys.readouterr().out
    assert "equal, file by file" in out
    assert "DIFFERENT" not in out
    assert "killed: process 99 (SIGKILL) after 1 jobs" in out
    assert "leases of 30 s" in out
    assert "job-1" in out
    assert "1 by process 7" in out
    assert "0.50 s, 4 files/s" in out


def test_a_job_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    bad = outcome(records=[record(0)])
    assert not bad.equal
    assert bad.lost == 1
    print_report(bad)
    out = capsys.readouterr().out
    assert "lost: 1 of 2 jobs; the results are DIFFERENT" in out


def test_a_result_that_differs(capsys: pytest.CaptureFixture[str]) -> None:
    bad = outcome(records=[record(0), record(1, functions=2)])
    assert not bad.equal
    print_report(bad)
    assert "DIFFERENT" in capsys.readouterr().out


def test_two_jobs_for_one_file_are_not_equal() -> None:
    assert not outcome(records=[record(0), record(0)]).equal


def test_what_could_not_be_parsed_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    plain = {"a.py": Examination(file="a.py", problem="SyntaxError: \x1b[31m")}
    print_report(outcome(plain=plain, accident=None))
    out = capsys.readouterr().out
    assert "SyntaxError: \\x1b[31m" in out
    assert "killed: no process" in out


def test_document() -> None:
    told = document_of(outcome())
    assert told["equal"] is True
    assert told["workers"] == told["plain"]
    assert told["killed"] == {
        "pid": 99,
        "lease": 30.0,
        "finished_before": 1,
        "held": ["job-1"],
        "finished_by": [{"id": "job-1", "file": "b.py", "pid": 7}],
    }
    assert document_of(outcome(accident=None))["killed"] is None


def over_http(functions: int = 1) -> OverHttp:
    """Return what was fetched of the first file."""
    found = {"a.py": Examination(file="a.py", lines=3, functions=functions)}
    return OverHttp(("a.py",), Stage(1, 0.5), found)


def test_over_http(capsys: pytest.CaptureFixture[str]) -> None:
    again = record(0)
    again = msgspec.structs.replace(
        again, message=msgspec.structs.replace(again.message, id="more")
    )
    good = outcome(records=[record(0), record(1), again], over_http=over_http())
    assert good.equal
    assert document_of(good)["http"] == {"files": 1, "seconds": 0.5, "equal": True}
    print_report(good)
    assert "by HTTP:      0.50 s, 2 files/s, one by one; results fetched by HTTP: equal" in (
        capsys.readouterr().out
    )
    assert document_of(outcome())["http"] is None


@pytest.mark.parametrize("fetched", [over_http(functions=2), OverHttp(("a.py",), Stage(1, 1), {})])
def test_a_difference_over_http(fetched: OverHttp, capsys: pytest.CaptureFixture[str]) -> None:
    bad = outcome(records=[record(0), record(1), record(0)], over_http=fetched)
    assert not bad.equal
    print_report(bad)
    assert "fetched by HTTP: DIFFERENT" in capsys.readouterr().out
