"""What a caller is told when the server was away for too long."""

from __future__ import annotations

from typing import Any

from headrace.engines.redis.request import Request
from headrace.engines.redis.scripts import COMMIT
from headrace.errors import EngineBusy, OutcomeUnknown
from headrace.reply import Reply

WHY = ConnectionError("cut")


def request(**more: Any) -> Request:
    return Request(
        script=COMMIT, note="n", body=b"", decode=repr, reply=Reply(), until=0.0,
        ids=lambda: ["a", "b"], **more,
    )  # fmt: skip


def test_what_was_never_sent_was_not_written() -> None:
    assert isinstance(request().overdue(WHY), EngineBusy)


def test_what_was_sent_is_unknown_and_names_its_jobs() -> None:
    told = request(sent=True).overdue(WHY)
    assert isinstance(told, OutcomeUnknown)
    assert told.job_ids == ("a", "b")


def test_what_may_be_repeated_is_to_be_tried_again() -> None:
    assert isinstance(request(sent=True, repeatable=True).overdue(WHY), EngineBusy)
