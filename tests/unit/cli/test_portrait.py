"""A job is shown with all that is known of it, whatever its data contain."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headrace.cli import portrait
from headrace.job import Progress
from headrace.message import Message
from headrace.record import Attempt, Failure, Record, State

EVIL = "\x1b]0;title\x07\x9b31m\u202e"
FAILURE = Failure(
    cause="error",
    type="ValueError",
    message=f"bad{EVIL}",
    traceback=f"Traceback\n  {EVIL}",
    logs=("first", EVIL),
    holder="me",
)


def record(**changes: Any) -> Record:
    message = Message(
        v=1,
        id="the-id",
        task="paint",
        body=msgspec.Raw(b'{"what":"cat"}'),
        tags=("art",),
        headers={"from": EVIL},
        expires_after=60.0,
    )
    return Record(**{"message": message, "state": State.READY, "accepted_at": 0.0, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"reason": "queue-paused"}, "queue-paused"),
        ({"state": State.SCHEDULED, "run_at": 60.0}, "due 1970-01-01T00:01:00.000Z"),
        ({"state": State.RUNNING, "cancel_asked": True}, "cancelling was asked for"),
        ({"state": State.DEAD, "failure": Failure(cause="expired")}, "expired"),
    ],
)
def test_note(changes: dict[str, object], says: str) -> None:
    assert portrait.note(record(**changes)) == says


def test_row_has_a_cell_for_each_column() -> None:
    row = portrait.row(record(attempt=2), now=120.0)
    assert len(row) == len(portrait.COLUMNS)
    assert row[0] == "the-id"
    assert row[4:6] == (2, "2m")


def test_json_has_every_field_and_all_of_the_data() -> None:
    history = (Attempt(number=1, ended_at=1.0, failure=FAILURE),)
    shown = portrait.as_json(
        record(state=State.SUCCEEDED, result=msgspec.Raw(b"[1]"), failure=FAILURE, history=history)
    )
    assert shown["arguments"] == {"what": "cat"}
    assert shown["result"] == [1]
    assert shown["expires_at"] == "1970-01-01T00:01:00.000Z"
    assert shown["headers"] == {"from": EVIL}
    assert shown["history"][0]["failure"]["message"] == f"bad{EVIL}"
    assert shown.keys() == portrait.as_json(record()).keys()
    json.dumps(shown)


def test_damaged_json_is_shown_as_text() -> None:
    assert portrait.as_json(record(result=msgspec.Raw(b"{\xff")))["result"] == "{\ufffd"


def test_page_has_everything_and_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    history = (Attempt(number=1, ended_at=1.0, failure=FAILURE, counted=False),)
    dead = record(state=State.DEAD, failure=FAILURE, history=history)
    portrait.show(dead, Progress(1, 2, f"half{EVIL}"))
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.split("\n"))
    for word in ("the-id", "paint", '{"what":"cat"}', "art", "ValueError", "Traceback", "first",
                 "1 of 2 half", "attempt 1", "not counted"):  # fmt: skip
        assert word in out


def test_page_of_a_job_that_is_to_be_retried_shows_its_failure_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    history = (Attempt(number=1, ended_at=1.0, failure=FAILURE),)
    portrait.show(record(state=State.SCHEDULED, failure=FAILURE, history=history), None)
    assert capsys.readouterr().out.count("Traceback") == 1
