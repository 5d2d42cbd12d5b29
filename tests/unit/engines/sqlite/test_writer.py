"""The one writer of a process: groups, refusals, parked requests, and its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from headrace.engines.sqlite import SQLiteEngine, writer
from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.plan import Plan
from headrace.engines.sqlite.wal import Sync, Wal
from headrace.engines.sqlite.writer import Request, Writer
from headrace.errors import (
    Conflict,
    DuplicateJob,
    EngineBusy,
    EngineClosed,
    HeadraceError,
    InvalidOption,
    QueueFull,
    StorageUnfit,
)
from headrace.record import QueueLimits
from headrace.reply import Reply
from headrace.testing.steps import (
    PATIENCE,
    apply,
    claim,
    depth,
    job_id,
    labels,
    message,
    send,
    settle,
    state,
)
from headrace.write import LimitQueue, Put, Send
from tests.unit.engines.sqlite.looking import complaints, number
from tests.unit.waiting import until


@contextmanager
def lock_held(path: Path) -> Iterator[None]:
    """Hold the write lock, as another process might, so that requests gather."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.execute("begin immediate").fetchall()
    try:
        yield
    finally:
        connection.close()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the sizes of the groups that are committed."""
    sizes: list[int] = []
    original = Writer._commit

    def commit(self: Writer, connection: apsw.Connection, group: list[Request], sync: Sync) -> None:
        sizes.append(len(group))
        original(self, connection, group, sync)

    monkeypatch.setattr(Writer, "_commit", commit)
    return sizes


def gathered(
    engine: SQLiteEngine, path: Path, *calls: Callable[[], Reply[Any]]
) -> list[Reply[Any]]:
    """Make calls that end up in one group."""
    assert engine._session is not None
    waiting = engine._session.writer._waiting
    with lock_held(path):
        first = engine.apply(Put("first", b""))
        until(lambda: not waiting, "the writer to begin with the first one")
        replies = [call() for call in calls]
    first.wait(PATIENCE)
    return replies


def sends(engine: SQLiteEngine, *names: str, **fields: object) -> list[Callable[[], Reply[Any]]]:
    """Return calls that send one job each."""
    return [partial(engine.apply, Send((message(name, **fields),))) for name in names]


def outcome(reply: Reply[Any]) -> Any:
    try:
        return reply.wait(PATIENCE)
    except HeadraceError as error:
        return type(error)


# Groups -------------------------------------------------------------------------------------------


def test_what_waits_is_committed_together(
    engine: SQLiteEngine, path: Path, commits: list[int]
) -> None:
    names = [f"j{i}" for i in range(300)]
    for reply in gathered(engine, path, *sends(engine, *names)):
        reply.wait(PATIENCE)
    assert commits == [1, 300]
    assert labels(claim(engine, 999)) == names
    assert complaints(path) == []


def test_one_refusal_takes_nobody_with_it(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "taken")
    names = [f"j{i}" for i in range(20)]
    calls = sends(engine, *names)
    calls[7:7] = sends(engine, "taken")
    calls.insert(3, lambda: engine.apply(Put("k", b"", expect=9)))
    calls.insert(12, lambda: engine.commit([Put("k", b""), Send((message("taken"),))]))
    calls += sends(engine, "bad", body=msgspec.Raw(b"{"))
    found = [outcome(reply) for reply in gathered(engine, path, *calls)]
    assert found.count(DuplicateJob) == 2
    assert found.count(Conflict) == 1
    assert found.count(InvalidOption) == 1
    assert found[3] is Conflict
    assert labels(claim(engine, 99)) == ["taken", *names]
    assert engine.load(["k"]).wait(PATIENCE).get("k") is None
    assert complaints(path) == []


def test_when_only_some_fit_the_first_ones_are_accepted(engine: SQLiteEngine, path: Path) -> None:
    apply(engine, LimitQueue("default", QueueLimits(max_depth=5)))
    nine = sends(engine, *(f"j{i}" for i in range(9)))
    found = [outcome(reply) for reply in gathered(engine, path, *nine)]
    assert found[5:] == [QueueFull] * 4
    assert QueueFull not in found[:5]
    assert depth(engine).depth == 5


def test_every_answer_is_that_of_its_own_call(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "old", unique_key="u", on_conflict="replace")
    found = gathered(
        engine,
        path,
        lambda: engine.apply(Put("a", b"1")),
        lambda: engine.apply(Send((message("x"),))),
        lambda: engine.commit([Put("b", b""), Put("b", b""), Send((message("y"),))]),
        lambda: engine.apply(Send((message("new", unique_key="u", on_conflict="replace"),))),
        lambda: engine.lease(["default"], limit=9, seconds=9, holder="w"),
        lambda: engine.apply(Put("a", b"2")),
    )
    one, x, both, new, leases, two = (reply.wait(PATIENCE) for reply in found)
    assert (one.version, two.version) == (1, 2)
    assert x.replaced == ()
    assert [getattr(answer, "version", None) for answer in both] == [1, 2, None]
    assert labels(new.replaced) == ["old"]
    assert set(labels(leases)) == {"x", "y", "new"}  # a claim sees what came with it


def test_sends_keep_the_order_in_which_they_were_handed_over(
    engine: SQLiteEngine, path: Path
) -> None:
    names = [f"j{i}" for i in range(50)]
    for reply in gathered(engine, path, *sends(engine, *names, order_key="k")):
        reply.wait(PATIENCE)
    seen = []
    while leases := claim(engine, 5):
        seen += labels(leases)
        assert len(leases) == 1
        settle(engine, leases[0])
    assert seen == names


def test_a_refusal_never_turns_into_a_lack_of_the_lock(path: Path) -> None:
    engines = [SQLiteEngine(path, ballast=0, durability="crash") for _ in range(2)]
    for engine in engines:
        engine.open().wait(PATIENCE)
    send(engines[0], "taken")
    stop = threading.Event()

    def hammer() -> None:
        number = 0
        while not stop.is_set():
            apply(engines[1], Put("k", b""))
            number += 1

    rival = threading.Thread(target=hammer)
    rival.start()
    found = {outcome(engines[0].apply(Send((message("taken"),)))) for _ in range(500)}
    stop.set()
    rival.join()
    for engine in engines:
        engine.close().wait(PATIENCE)
    assert found == {DuplicateJob}


def test_the_lock_is_waited_for_but_not_for_ever(
    engine: SQLiteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_BUSY_SECONDS", 0.05)
    with lock_held(path), pytest.raises(EngineBusy, match="is one of them suspended"):
        send(engine, "a")
    send(engine, "b")  # the engine goes on
    assert state(engine, "a") is None


def test_a_listener_that_fails_stops_neither_the_others_nor_the_writer(
    engine: SQLiteEngine, path: Path
) -> None:
    def fail(_: Reply[Any]) -> None:
        raise LookupError("on purpose")

    def listened() -> Reply[Any]:
        reply = engine.apply(Send((message("a"),)))
        reply.listen(fail)
        return reply

    replies = gathered(
        engine,
        path,
        listened,
        lambda: engine.apply(Send((message("b"),))),
    )
    for reply in replies:
        reply.wait(PATIENCE)
    send(engine, "c")


def test_a_mistake_of_ours_is_told_and_breaks_nothing(engine: SQLiteEngine, path: Path) -> None:
    found = gathered(
        engine,
        path,
        lambda: engine.apply("no write"),  # type: ignore[arg-type] # that is the point
        lambda: engine.apply(Send((message("a"),))),
    )
    with pytest.raises(TypeError, match="is not a write"):
        found[0].wait(PATIENCE)
    found[1].wait(PATIENCE)


# Those who wait for jobs --------------------------------------------------------------------------


def test_parked_requests_are_answered_in_the_commit_that_brings_their_jobs(
    engine: SQLiteEngine, commits: list[int]
) -> None:
    parked = engine.lease(["default"], limit=5, seconds=9, holder="w", wait=30)
    until(lambda: commits, "the first look")
    commits.clear()
    send(engine, "a", "b")
    assert labels(parked.wait(PATIENCE)) == ["a", "b"]
    assert commits == [2]


def test_who_waits_for_another_queue_goes_on_waiting(engine: SQLiteEngine) -> None:
    red = engine.lease(["red"], limit=5, seconds=9, holder="w", wait=30)
    blue = engine.lease(["blue"], limit=5, seconds=9, holder="w", wait=30)
    send(engine, "a", queue="blue")
    assert labels(blue.wait(PATIENCE)) == ["a"]
    assert not red.done
    send(engine, "b", queue="red")
    assert labels(red.wait(PATIENCE)) == ["b"]


def test_patience_ends_with_an_empty_answer(engine: SQLiteEngine) -> None:
    assert engine.lease(["q"], limit=1, seconds=9, holder="w", wait=0.05).wait(PATIENCE) == ()


def test_a_job_that_becomes_due_is_found_when_it_is_due(path: Path) -> None:
    engine = SQLiteEngine(path, ballast=0, poll=30.0)
    engine.open().wait(PATIENCE)
    send(engine, "a", delay=0.2)
    parked = engine.lease(["default"], limit=1, seconds=9, holder="w", wait=30)
    assert labels(parked.wait(PATIENCE)) == ["a"]
    engine.close().wait(PATIENCE)


def test_an_idle_engine_with_parked_requests_does_next_to_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    connect = Database.connect

    def traced(self: Database) -> apsw.Connection:
        connection = connect(self)

        def note(_: object, sql: str, __: object) -> bool:
            statements.append(sql)
            return True

        connection.exec_trace = note
        return connection

    monkeypatch.setattr(Database, "connect", traced)
    engine = SQLiteEngine(path, ballast=0, poll=0.2)
    engine.open().wait(PATIENCE)
    parked = [engine.lease(["q"], limit=1, seconds=9, holder="w", wait=30) for _ in range(20)]
    assert engine._session is not None
    until(lambda: len(engine._session.writer._parked) == 20, "all to be parked")  # type: ignore[union-attr] # it is open
    threading.Event().wait(0.1)
    statements.clear()
    threading.Event().wait(1.0)  # five looks
    assert len(statements) <= 12
    engine.close().wait(PATIENCE)
    assert [reply.wait(PATIENCE) for reply in parked] == [()] * 20


# The end ------------------------------------------------------------------------------------------


def test_closing_answers_those_who_wait_and_writes_what_was_handed_over(
    engine: SQLiteEngine, path: Path
) -> None:
    parked = engine.lease(["none"], limit=1, seconds=9, holder="w", wait=30)
    with lock_held(path):
        replies = [engine.apply(Send((message(f"j{i}"),))) for i in range(50)]
        closing = engine.close()
    for reply in replies:
        reply.wait(PATIENCE)
    closing.wait(PATIENCE)
    assert parked.wait(PATIENCE) == ()
    assert number(path, "select count(*) from headrace_job") == 50


def test_whoever_calls_while_it_closes_is_written_or_told(path: Path) -> None:
    accepted: list[str] = []
    engine = SQLiteEngine(path, ballast=0, durability="crash")
    for turn in range(5):
        engine.open().wait(PATIENCE)
        running = threading.Event()

        def submit(name: str, running: threading.Event = running) -> None:
            for index in range(10_000):
                try:
                    engine.apply(Send((message(f"{name}{index}"),))).wait(PATIENCE)
                except EngineClosed:
                    return
                accepted.append(f"{name}{index}")
                running.set()

        threads = [threading.Thread(target=submit, args=(f"{turn}{n}",)) for n in "ab"]
        for thread in threads:
            thread.start()
        running.wait(PATIENCE)
        engine.close().wait(PATIENCE)
        for thread in threads:
            thread.join()
    engine.open().wait(PATIENCE)
    found = engine.states([job_id(name) for name in accepted]).wait(PATIENCE)
    assert len(found) == len(accepted)
    assert depth(engine).depth == len(accepted)
    engine.close().wait(PATIENCE)


def bare(connect: Callable[[], apsw.Connection]) -> Writer:
    """Return a writer without an engine."""

    class Reserve:
        def whole(self) -> bool:
            return True

        def spend(self) -> bool:
            return False

    def nothing(*_: Any) -> Plan[Any]:
        return
        yield

    return Writer(
        connect=connect,
        wal=lambda connection: Wal(connection, Path("none"), "", durable=False),
        reserve=Reserve(),
        join=nothing,
        waits=lambda *_: 60.0,
        hint=lambda _: None,
        poll=60.0,
    )


def test_a_writer_that_cannot_connect_tells_so() -> None:
    may = threading.Event()

    def fail() -> apsw.Connection:
        may.wait(PATIENCE)
        raise StorageUnfit("no such luck")

    made = bare(fail)
    made.start()
    request = Request(plan=lambda: made._join([]), reply=Reply[None]())
    made.put(request)
    may.set()
    with pytest.raises(EngineClosed, match="no such luck"):
        request.reply.wait(PATIENCE)
    until(lambda: made.failed, "the failure")
    late = Request(plan=lambda: made._join([]), reply=Reply[None]())
    made.put(late)
    with pytest.raises(EngineClosed):
        late.reply.wait(PATIENCE)
    made.close()


def test_a_plan_that_fails_in_an_unforeseen_way_leaves_the_writer_going(
    connection: apsw.Connection, path: Path
) -> None:
    made = bare(Database(path, "crash").connect)
    made.start()

    def fail() -> Plan[None]:
        yield "insert into headrace_entry values ('k', x'', 1, null)", ()
        raise MemoryError

    failing = Request(plan=fail, reply=Reply[None]())
    made.put(failing)
    with pytest.raises(MemoryError):
        failing.reply.wait(PATIENCE)
    fine = Request(plan=lambda: made._join([]), reply=Reply[None]())
    made.put(fine)
    assert fine.reply.wait(PATIENCE) is None
    made.close()
    assert connection.execute("select count(*) from headrace_entry").get == 0


def test_closing_while_the_lock_is_awaited_does_not_spin(
    engine: SQLiteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    assert engine._session is not None
    nothing = engine._session.writer._nothing
    wait = nothing.wait

    def nap(seconds: float) -> bool:
        naps.append(seconds)
        return wait(seconds)

    monkeypatch.setattr(nothing, "wait", nap)
    with lock_held(path):
        sent = engine.apply(Send((message("a"),)))
        closing = engine.close()
        until(lambda: len(naps) > 20, "attempts")
        assert not sent.done
    closing.wait(PATIENCE)
    sent.wait(PATIENCE)
    assert max(naps) == writer._BACKOFF_LAST
