"""What is seen of a job is made into text once, however many are told of it."""

from __future__ import annotations

import msgspec

from headrace.gateway.watching.sight import Sight
from headrace.job import Progress
from headrace.message import VERSION, Message
from headrace.record import Record, State

MESSAGE = Message(v=VERSION, id="1", task="x", body=msgspec.Raw(b"{}"))


def seen(state: State, progress: Progress | None = None, **more: object) -> Sight:
    """Return a job at a moment."""
    record = Record(message=MESSAGE, state=state, accepted_at=0)
    return Sight(msgspec.structs.replace(record, **more), progress, 4, 0.0)


def test_its_texts_are_made_once() -> None:
    sight = seen(State.READY)
    assert sight.body() is sight.body()
    assert sight.body("/work") is not sight.body()
    assert b'"/work/v1/jobs/1"' in sight.body("/work")
    assert msgspec.json.decode(sight.body()).keys() - msgspec.json.decode(
        sight.outline()
    ).keys() == {
        "progress",
        "result",
        "history",
    }
    assert sight.etag() != sight.etag("/work")


def test_progress_is_that_of_a_run() -> None:
    progress = Progress(1.0)
    assert seen(State.RUNNING, progress).progress == progress
    assert seen(State.READY, progress).progress is None


def test_likeness() -> None:
    running = seen(State.RUNNING)
    assert running.like(seen(State.RUNNING))
    assert not running.like(None)
    assert not running.like(seen(State.READY))
    assert not running.like(seen(State.RUNNING, Progress(1.0)))
    assert not running.like(seen(State.RUNNING, cancel_asked=True))


def test_a_large_result_is_left_out() -> None:
    assert seen(State.SUCCEEDED, result=msgspec.Raw(b"1234")).result is not None
    assert seen(State.SUCCEEDED, result=msgspec.Raw(b"12345")).result is None
    assert seen(State.SUCCEEDED).ended
