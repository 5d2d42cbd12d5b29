"""Inside a child, an errand becomes a call, and whatever comes of it an answer."""

import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from msgspec import Raw

from headrace import App, Context, Snooze
from headrace.child import Channel
from headrace.context import Workplace
from headrace.errand import ANSWER, NOTE, Answer, Errand, decode_answer, decode_note, encode
from headrace.job import Progress
from headrace.pools.inside import Inside, Report
from headrace.record import Cause
from headrace.testing.clock import ManualClock
from tests.unit.worker.stage import lease

Ask = Callable[..., Answer]


class Parent:
    """The other end of the channel of an `Inside` that runs in a thread of this process."""

    def __init__(self, app: App) -> None:
        near, far = socket.socketpair()
        self.channel, self._far = Channel(near), Channel(far)
        self.notes: list[Progress] = []
        self.clock = ManualClock()
        self.inside = Inside(
            app.registry,
            app.middleware,
            self._far,
            clock=self.clock,
            open_workplace=lambda report: self._workplace(app, report),
            max_result=100,
        )

    def _workplace(self, app: App, report: Report) -> Workplace:
        return Workplace(
            intake=app.intake, clock=self.clock, deadline=5, max_result=100, report=report
        )

    def ask(self, task: str, body: bytes = b"{}", seconds: float | None = None) -> Answer:
        answer = self.inside._do(Errand(lease(task=task, body=body), seconds))
        self.inside._channel.send(ANSWER + encode(answer))
        while (message := self.channel.receive()) is not None and message[:1] == NOTE:
            self.notes.append(decode_note(message[1:]))
        return decode_answer(cast("bytes", message)[1:])

    def close(self) -> None:
        self.channel.close()
        self._far.close()


@pytest.fixture
def parent(app: App) -> Iterator[Parent]:
    parent = Parent(app)
    yield parent
    parent.close()


def test_a_function_is_called(app: App, parent: Parent) -> None:
    @app.task(process=True)
    def add(n: int, m: int = 1) -> int:
        return n + m

    answer = parent.ask("add", b'{"n": 3}')
    assert (answer.ending.kind, answer.ending.result, answer.settled) == ("done", Raw(b"4"), False)


def test_a_coroutine_function_gets_a_loop(app: App, parent: Parent) -> None:
    @app.task(process=True)
    async def answer() -> int:
        return 42

    assert parent.ask("answer").ending.result == Raw(b"42")


def test_failures_and_outcomes_are_answers(app: App, parent: Parent) -> None:
    @app.task(process=True)
    def fail(how: str) -> Snooze:
        if how == "exit":
            raise SystemExit(3)
        if how == "snooze":
            return Snooze(5)
        raise ValueError(how)

    for how, kind in (("exit", "failed"), ("snooze", "snooze"), ("error", "failed")):
        ending = parent.ask("fail", b'{"how": "%s"}' % how.encode()).ending
        assert ending.kind == kind
    assert ending.failure is not None
    assert (ending.failure.type, ending.failure.message) == ("ValueError", "error")
    assert "in fail" in ending.failure.traceback


@pytest.mark.parametrize(
    ("task", "body", "cause"),
    [
        ("gone", b"{}", Cause.UNKNOWN_TASK),
        ("add", b'{"n": "x"}', Cause.INVALID_ARGUMENTS),
    ],
)
def test_what_cannot_be_called_is_an_answer(
    app: App, parent: Parent, task: str, body: bytes, cause: Cause
) -> None:
    @app.task(process=True)
    def add(n: int) -> int:
        return n

    failure = parent.ask(task, body).ending.failure
    assert failure is not None
    assert failure.cause == cause


def test_a_context_tells_what_it_can_and_passes_progress_on(app: App, parent: Parent) -> None:
    @app.task(process=True)
    def look(ctx: Context) -> tuple[str, float | None, bool]:
        ctx.check()
        ctx.progress(1, 2, "half")
        return ctx.job_id, ctx.deadline, ctx.cancelled

    assert parent.ask("look", seconds=9.0).ending.result == Raw(b'["job-1",9.0,false]')
    assert parent.notes == [Progress(1, 2, "half")]


def test_middleware_is_wrapped_around_the_call() -> None:
    order: list[str] = []

    @contextmanager
    def around(context: Context) -> Iterator[None]:
        order.append(context.task)
        yield
        order.append("after")

    app = App("memory:", middleware=[around])

    @app.task(process=True)
    def inside(n: int) -> int:
        order.append("inside")
        return n

    parent = Parent(app)
    assert parent.ask("inside", b'{"n": 1}').ending.result == Raw(b"1")
    assert order == ["inside", "inside", "after"]
    parent.close()
    app.close()


def test_a_child_ends_with_its_parent_whatever_it_does(tmp_path: Path) -> None:
    program = tmp_path / "inside_program.py"
    program.write_text(
        textwrap.dedent("""
            import os, sys, time
            from headrace import App
            from headrace.child import Channel
            from headrace.pools.inside import Inside

            app = App("memory:")

            @app.task
            def sleep() -> None:
                time.sleep(3600)

            Inside(app.registry, (), Channel.of_parent(), clock=app.clock,
                   open_workplace=lambda report: None, max_result=100).run()
        """)
    )
    near, far = socket.socketpair()
    process = subprocess.Popen([sys.executable, program], stdin=far.fileno())
    far.close()
    channel = Channel(near)
    channel.send(encode(Errand(lease(task="sleep", body=b"{}"))))
    timer = threading.Timer(0.3, channel.close)  # most likely in the middle of the run
    timer.start()
    assert process.wait(30) == 1
    timer.join()
