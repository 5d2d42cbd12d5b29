"""Calls become jobs, in order, and wait for room only as long as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from headrace.app import App
from headrace.engine import Entry
from headrace.errors import DuplicateJob, QueueFull, Unsupported, UsageError
from headrace.intake import Submission, unknown
from headrace.message import Message
from headrace.task import Task
from headrace.trace import Origin, Trace, current
from headrace.write import Put, Send


@pytest.fixture
def echo(app: App) -> Task[[int], int, Any]:
    @app.task
    def echo(n: int) -> int:
        return n

    return echo


def test_jobs_are_named_in_order(app: App, echo: Task[[int], int, Any]) -> None:
    reply, jobs = app.intake.send([echo.call(n) for n in range(1000)])
    reply.wait(5)
    assert [job.id for job in jobs] == sorted({job.id for job in jobs})
    records = app.engine.get([job.id for job in jobs]).wait(5)
    bodies = [bytes(records[job.id].message.body) for job in jobs]
    assert bodies == [b'{"n":%d}' % n for n in range(1000)]


def test_companions_write_beside_jobs(app: App, echo: Task[[int], int, Any]) -> None:
    app.companions.append(lambda _, messages: [Put(message.id, b"") for message in messages])
    job = echo.submit(1)
    assert app.engine.scan("").wait(5) == (Entry(job.id, b"", 1),)
    with pytest.raises(DuplicateJob):
        app.submit([echo.using(unique_key="k").call(n) for n in range(2)])
    assert len(app.engine.scan("").wait(5)) == 1


def test_only_calls_are_accepted(echo: Task[[int], int, Any]) -> None:
    for calls in ([5], [echo], ["x"]):
        wrong: Any = calls
        with pytest.raises(UsageError, match=r"takes calls, as task\.call\(\.\.\.\) gives, not"):
            Submission(wrong, None)
    alone: Any = echo.call(1)
    with pytest.raises(UsageError, match="takes a list of calls"):
        Submission(alone, None)


def test_a_transaction_may_be_named_by_the_calls(app: App, echo: Task[[int], int, Any]) -> None:
    tx = app.engine.begin()
    call = echo.using(tx=tx).call(1)
    assert Submission([call], None).tx is tx
    assert Submission([call, echo.call(2)], tx).tx is tx
    assert Submission([echo.call(2)], None).tx is None
    with pytest.raises(UsageError, match="several transactions"):
        Submission([call], app.engine.begin())


def test_a_full_queue_is_tried_again_until_the_wait_is_over(
    app: App, echo: Task[[int], int, Any]
) -> None:
    full = QueueFull("full", "default", retry_after=100.0)
    submission = Submission([echo.call(1), echo.using(wait=60).call(2)], None)
    assert 0 < submission.pause(full, app.intake) <= 0.5
    submission._until = app.clock.monotonic() + 0.1
    assert 0 < submission.pause(full, app.intake) <= 0.1
    submission._until = app.clock.monotonic()
    with pytest.raises(QueueFull):
        submission.pause(full, app.intake)


def test_nobody_waits_who_did_not_ask_to_or_holds_a_transaction(
    app: App, echo: Task[[int], int, Any]
) -> None:
    full = QueueFull("full", "default", retry_after=0.0)
    calls = [echo.using(wait=60).call(1)]
    for submission in (Submission([echo.call(1)], None), Submission(calls, app.engine.begin())):
        with pytest.raises(QueueFull):
            submission.pause(full, app.intake)


def test_silence_of_the_engine_is_an_unknown_outcome(app: App, echo: Task[[int], int, Any]) -> None:
    _, jobs = app.intake.send([echo.call(1)])
    error = unknown(jobs)
    assert error.job_ids == (jobs[0].id,)


def test_a_connection_is_the_engines_to_judge(app: App, echo: Task[[int], int, Any]) -> None:
    connection = object()
    submission = Submission([echo.using(tx=connection).call(1)], None)
    assert submission.tx is connection
    with pytest.raises(Unsupported, match=r"cannot join the transaction of a object.*PostgreSQL"):
        app.submit([echo.call(1)], tx=connection)
    with pytest.raises(Unsupported):
        echo.using(tx=connection).submit(1)


# What is told of submits --------------------------------------------------------------------------


class Follower:
    """Traces submits, or says that they are not recorded."""

    def __init__(self, trace: Trace | None) -> None:
        self.trace = trace
        self.seen: list[tuple[int, Trace | None]] = []
        self.ends: list[BaseException | None] = []

    def __call__(self, messages: Sequence[Message], place: Trace | None) -> Follower:
        self.seen.append((len(messages), place))
        return self

    def end(self, error: BaseException | None) -> None:
        self.ends.append(error)


PLACE = Trace(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7")


def test_a_tracer_says_what_jobs_carry(app: App, echo: Task[[int], int, Any]) -> None:
    app.telemetry.tracer = follower = Follower(PLACE)
    (job,) = app.submit([echo.call(1)])
    assert app.engine.get([job.id]).wait(5)[job.id].message.trace == str(PLACE)
    assert (follower.seen, follower.ends) == ([(1, None)], [None])


def test_a_tracer_that_records_nothing_changes_nothing(
    app: App, echo: Task[[int], int, Any]
) -> None:
    app.telemetry.tracer = follower = Follower(None)
    (job,) = app.submit([echo.call(1)])
    assert app.engine.get([job.id]).wait(5)[job.id].message.trace is None
    assert follower.ends == [None]


def test_a_tracer_is_told_of_a_refusal(app: App, echo: Task[[int], int, Any]) -> None:
    app.telemetry.tracer = follower = Follower(PLACE)
    echo.using(unique_key="k").submit(1)
    with pytest.raises(DuplicateJob):
        echo.using(unique_key="k").submit(1)
    assert [type(error) for error in follower.ends] == [type(None), DuplicateJob]


def test_subscribers_are_told_what_was_sent(app: App, echo: Task[[int], int, Any]) -> None:
    heard: list[tuple[str, Any]] = []
    unsubscribe = app.telemetry.subscribe(lambda name, fields: heard.append((name, fields)))
    jobs = app.submit([echo.call(1), echo.call(2)])
    unsubscribe()
    app.submit([echo.call(3)])
    ((name, fields),) = heard
    assert name == "jobs.sent"
    assert [message.id for message in fields["messages"]] == [job.id for job in jobs]
    assert fields["error"] is None
    assert fields["seconds"] >= 0


def test_messages_of_others_are_packed_alike(app: App, echo: Task[[int], int, Any]) -> None:
    app.telemetry.tracer = follower = Follower(PLACE)
    message = echo.call(1).message(app.ids.job_id())
    parcel = app.intake.pack((message,))
    assert parcel.messages[0].trace == str(PLACE)
    reply = app.engine.commit([Send(parcel.messages)])
    parcel.follow(reply)
    reply.wait(5)
    assert follower.ends == [None]


def test_a_trace_that_was_named_by_hand_stays(app: App, echo: Task[[int], int, Any]) -> None:
    named = f"00-{'a' * 32}-{'b' * 16}-01"
    token = current.set(Origin(trace=PLACE, headers={"k": "v"}))
    (job,) = app.submit([echo.using(trace=named).call(1)])
    current.reset(token)
    message = app.engine.get([job.id]).wait(5)[job.id].message
    assert (message.trace, message.headers) == (named, {"k": "v"})
    assert message.tags == (f"trace:{'a' * 32}",)
