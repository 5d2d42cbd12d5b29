"""What the ledger knows: states, records and how a queue is doing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.errors import InvalidOption
from headrace.message import VERSION, Message
from headrace.record import (
    LIVE,
    TERMINAL,
    Attempt,
    Cause,
    Failure,
    QueueLimits,
    QueueStatus,
    Record,
    State,
)

MESSAGE = Message(v=VERSION, id="1", task="t", body=msgspec.Raw(b"{}"))


def test_every_state_is_live_or_terminal() -> None:
    assert set(LIVE) | set(TERMINAL) == set(State)
    assert not set(LIVE) & set(TERMINAL)
    assert all(state.terminal for state in TERMINAL)
    assert not any(state.terminal for state in LIVE)


def test_states_and_causes_are_the_words_themselves() -> None:
    assert str(State.READY) == "ready"
    assert State("dead") is State.DEAD
    assert Failure(cause=Cause.EXPIRED) == Failure(cause="expired")
    assert msgspec.json.encode(Failure(cause=Cause.EXPIRED)) == b'{"cause":"expired"}'


@pytest.mark.parametrize("limit", [-1, "many", 1.5, True, 2**63])
@pytest.mark.parametrize("name", ["max_depth", "max_bytes"])
def test_a_limit_of_a_queue_is_a_whole_number(name: str, limit: Any) -> None:
    with pytest.raises(InvalidOption, match=f"{name}={limit!r}"):
        QueueLimits(**{name: limit})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({name: limit}), type=QueueLimits)
    assert QueueLimits(**{name: 0}) != QueueLimits(**{name: 2**63 - 1}) != QueueLimits()


def test_a_record_survives_the_wire() -> None:
    failure = Failure(cause="error", type="ValueError", message="boom", logs=("a", "b"))
    record = Record(
        message=MESSAGE,
        state=State.DEAD,
        accepted_at=1.5,
        attempt=2,
        finished_at=3.0,
        failure=failure,
        history=(Attempt(number=1, ended_at=2.0, failure=failure, counted=False),),
    )
    text = msgspec.json.encode(record)
    assert msgspec.json.decode(text, type=Record) == record
    assert b'"state":"dead"' in text
    assert b"holder" not in text


def test_a_record_has_the_id_of_its_message() -> None:
    assert Record(message=MESSAGE, state=State.READY, accepted_at=0).id == MESSAGE.id


def test_the_depth_of_a_queue_is_what_is_unfinished() -> None:
    status = QueueStatus(name="q", ready=3, scheduled=2, running=1)
    assert status.depth == 6
    assert status.limits == QueueLimits(max_depth=None, max_bytes=None)
