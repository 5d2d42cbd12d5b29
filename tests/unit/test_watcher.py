"""One question to the ledger serves all who wait, and nobody waits for what will never come."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from msgspec import Raw

from headrace.clock import SystemClock
from headrace.engine import Hint, Topic
from headrace.engines.memory import MemoryEngine
from headrace.errors import EngineBusy, EngineClosed, JobNotFound, StorageCorrupt, UsageError
from headrace.message import VERSION, Message
from headrace.record import Record, State
from headrace.reply import Reply
from headrace.watcher import Watcher
from headrace.write import PurgeJobs, Send, Settle, Settlement


class Recording(MemoryEngine):
    """Counts the questions, and may lose hints or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[tuple[str, ...]] = []
        self.hints = True
        self.trouble: list[Exception] = []
        self.watching = 0

    def states(self, ids: Sequence[str]) -> Reply[dict[str, State]]:
        self.questions.append(tuple(ids))
        if self.trouble:
            return Reply.failed(self.trouble.pop())
        return super().states(ids)

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        self.watching += 1
        unwatch = super().watch(topic, hint if self.hints else lambda: None)

        def ended() -> None:
            self.watching -= 1
            unwatch()

        return ended


@pytest.fixture
def engine() -> Iterator[Recording]:
    engine = Recording()
    engine.open().wait(5)
    yield engine
    engine.close().wait(5)


@pytest.fixture
def watcher(engine: Recording) -> Iterator[Watcher]:
    watcher = Watcher(engine, SystemClock(), lambda: 0.5, 5)
    yield watcher
    watcher.close()


def send(engine: MemoryEngine, *ids: str) -> None:
    engine.apply(
        Send(tuple(Message(v=VERSION, id=id_, task="t", body=Raw(b"{}")) for id_ in ids))
    ).wait(5)


def finish(engine: MemoryEngine) -> None:
    leases = engine.lease(["default"], limit=100, seconds=9, holder="h").wait(5)
    ended = tuple(Settlement(lease=lease, to=State.SUCCEEDED, result=Raw(b"1")) for lease in leases)
    engine.apply(Settle(ended)).wait(5)


def test_a_finished_job_is_known_at_once(engine: Recording, watcher: Watcher) -> None:
    send(engine, "a")
    finish(engine)
    assert watcher.wait("a").wait(10).state is State.SUCCEEDED


def test_all_who_wait_are_served_by_one_question(engine: Recording, watcher: Watcher) -> None:
    send(engine, *"abc")
    replies = [watcher.wait(id_) for id_ in "abca"]
    finish(engine)
    assert [reply.wait(10).id for reply in replies] == list("abca")
    assert all(len(set(asked)) == len(asked) for asked in engine.questions)
    assert engine.watching == 1


def test_polling_suffices_when_hints_are_lost(engine: Recording) -> None:
    engine.hints = False
    watcher = Watcher(engine, SystemClock(), lambda: 0.5, 5)
    send(engine, "a")
    reply = watcher.wait("a")
    finish(engine)
    assert reply.wait(10).id == "a"
    watcher.close()


def test_what_is_not_there_is_reported(engine: Recording, watcher: Watcher) -> None:
    with pytest.raises(JobNotFound, match="no job x"):
        watcher.wait("x").wait(10)
    send(engine, "a")
    reply = watcher.wait("a")
    finish(engine)
    engine.apply(PurgeJobs(("a",))).wait(5)
    try:
        assert reply.wait(10).id == "a"  # it was seen before it was purged
    except JobNotFound:
        assert engine.get(["a"]).wait(5) == {}


def test_a_job_that_vanishes_between_two_questions_is_reported(
    engine: Recording, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(engine, "a")
    finish(engine)
    nothing: dict[str, Record] = {}
    monkeypatch.setattr(engine, "get", lambda _: Reply.of(nothing))
    with pytest.raises(JobNotFound):
        watcher.wait("a").wait(10)


def test_a_busy_engine_is_asked_again(engine: Recording, watcher: Watcher) -> None:
    send(engine, "a")
    engine.trouble.append(EngineBusy("later"))
    finish(engine)
    assert watcher.wait("a").wait(10).id == "a"


@pytest.mark.parametrize("error", [StorageCorrupt("broken"), ZeroDivisionError("a bug")])
def test_trouble_reaches_all_who_wait(
    engine: Recording, watcher: Watcher, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    send(engine, "a", "b")
    engine.trouble.append(error)
    replies = [watcher.wait("a")]
    with pytest.raises(type(error), match=str(error)):
        replies[0].wait(10)
    second = watcher.wait("b")
    finish(engine)
    assert second.wait(10).id == "b"
    assert ("a tick failed" in caplog.text) is isinstance(error, ZeroDivisionError)


def test_who_gives_up_is_forgotten(engine: Recording, watcher: Watcher) -> None:
    send(engine, "a")
    patient, hasty = watcher.wait("a"), watcher.wait("a")
    watcher.forget("a", hasty)
    watcher.forget("a", hasty)
    watcher.forget("never", hasty)
    finish(engine)
    assert patient.wait(10).id == "a"
    assert not hasty.done
    assert watcher._waiting == {}


def test_closing_leaves_nobody_waiting(engine: Recording, watcher: Watcher) -> None:
    send(engine, "a")
    reply = watcher.wait("a")
    watcher.close()
    watcher.close()
    for late in (reply, watcher.wait("a")):
        with pytest.raises(EngineClosed):
            late.wait(10)
    assert engine.watching == 0
    assert not watcher._service.running


def test_the_thread_ends_when_nobody_waits(
    engine: Recording, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.watcher._LINGER_SECONDS", 0.0)
    send(engine, "a", "b")
    for id_ in "ab":
        finish(engine)
        assert watcher.wait(id_).wait(10).id == id_
        thread = watcher._service._thread
        assert thread is not None
        thread.join(10)
        assert engine.watching == 0


def test_a_callback_must_not_wait(engine: Recording, watcher: Watcher) -> None:
    send(engine, "a")
    seen: list[Any] = []
    done = threading.Event()

    def listener(_: Reply[Any]) -> None:
        try:
            watcher.refuse_inside()
        except UsageError as error:
            seen.append(error)
        done.set()

    watcher.wait("a").listen(listener)
    watcher.refuse_inside()
    finish(engine)
    assert done.wait(10)
    assert "must not wait" in str(seen[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_waits_with_a_thread_of_its_own(engine: Recording, watcher: Watcher) -> None:
    send(engine, "a")
    finish(engine)
    watcher.wait("a").wait(10)  # from now on the thread lingers, and holds no lock
    send(engine, "b")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside a thread
        child = os.fork()
    if child == 0:  # the memory engine is copied with the process
        reply = watcher.wait("b")
        finish(engine)
        os._exit(0 if reply.wait(10).id == "b" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
