"""The engine as its callers see it: threads, loops, processes, and what outlives a reopening."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite.ballast import Ballast
from headrace.errors import DuplicateJob, EngineClosed, Unsupported, UsageError
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    claim,
    claim_one,
    job_id,
    labels,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import PauseQueue, Put, Send, Settle, Settlement
from tests.faults.disk import Disk
from tests.unit.engines.sqlite.looking import complaints, number
from tests.unit.engines.sqlite.programs import finish, start
from tests.unit.waiting import until


@pytest.fixture
def fast(path: Path) -> SQLiteEngine:
    """Give an engine that is open and answers quickly; the test closes it."""
    engine = SQLiteEngine(path, ballast=0, durability="crash")
    engine.open().wait(PATIENCE)
    return engine


def test_two_hundred_coroutines_on_each_of_three_loops(fast: SQLiteEngine, path: Path) -> None:
    refused: list[str] = []
    accepted: list[str] = []

    async def submit(name: str) -> None:
        for index in range(3):
            label = f"{name}{index}"
            try:
                await fast.apply(Send((message(label),)))
            except DuplicateJob as error:
                refused.append(error.job_id)
            else:
                accepted.append(label)
                assert (await fast.states([job_id(label)]))[job_id(label)] is State.READY

    async def everybody() -> None:
        await asyncio.gather(*(submit(f"{index:03}") for index in range(200)))

    # The same names on every loop: one of three is accepted, whoever comes first.
    with ThreadPoolExecutor(3) as pool:
        for loop in [pool.submit(asyncio.run, everybody()) for _ in range(3)]:
            loop.result()
    assert len(accepted) == len(set(accepted)) == 600
    assert sorted(refused) == sorted(job_id(label) for label in accepted * 2)
    assert number(path, "select count(*) from headrace_job") == 600
    fast.close().wait(PATIENCE)
    assert complaints(path) == []


def test_threads_that_send_claim_and_settle_share_the_work_out(
    fast: SQLiteEngine, path: Path
) -> None:
    done: list[str] = []
    sending = threading.Event()

    def produce(name: str) -> None:
        for index in range(100):
            send(fast, f"{name}{index}", order_key=f"{name}{index % 7}")

    def consume(holder: str) -> None:
        while True:
            leases = fast.lease(["default"], limit=9, seconds=60, holder=holder, wait=0.05).wait(
                PATIENCE
            )
            if not leases and sending.is_set():
                return
            batch = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
            assert fast.apply(Settle(batch)).wait(PATIENCE).lost == frozenset()
            done.extend(labels(leases))

    with ThreadPoolExecutor(6) as pool:
        workers = [pool.submit(consume, f"w{index}") for index in range(3)]
        for producer in [pool.submit(produce, name) for name in "abc"]:
            producer.result()
        sending.set()
        for worker in workers:
            worker.result()
    assert sorted(done) == sorted(f"{name}{index}" for name in "abc" for index in range(100))
    for name in "abc":
        for key in range(7):
            order = [int(label[1:]) for label in done if label[0] == name]
            group = [index for index in order if index % 7 == key]
            assert group == sorted(group)
    fast.close().wait(PATIENCE)
    assert complaints(path) == []


def test_two_engines_on_one_file_in_one_process(path: Path) -> None:
    one, two = (SQLiteEngine(path, ballast=0, poll=30.0) for _ in range(2))
    for engine in (one, two):
        engine.open().wait(PATIENCE)
    parked = two.lease(["default"], limit=1, seconds=30, holder="w", wait=30)
    send(one, "a")
    (lease,) = parked.wait(PATIENCE)
    assert labels(one.lease(["default"], limit=1, seconds=30, holder="v").wait(PATIENCE)) == []
    settle(one, lease)
    one.close().wait(PATIENCE)
    assert state(two, "a") is State.SUCCEEDED
    send(two, "b")
    two.close().wait(PATIENCE)
    assert complaints(path) == []


WORK = """
engine = opened(sys.argv[1], durability="crash")
print("open", flush=True)
sys.stdin.readline()
done = []

def more():
    wanted = engine.lease(["default"], limit=20, seconds=60, holder=sys.argv[2], wait=0.2)
    return wanted.wait(30)

while leases := more():
    batch = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
    assert not engine.apply(Settle(batch)).wait(30).lost
    done += labels(leases)
    for lease in leases:
        if lease.message.task == "more":
            (label,) = labels([lease])
            engine.apply(Send((message(label + "x"),))).wait(30)
print(*done)
"""


def test_four_processes_share_the_work_out(fast: SQLiteEngine, path: Path) -> None:
    programs = [start(WORK, path, f"w{index}") for index in range(4)]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
    names = [f"j{index}" for index in range(400)]
    for begin in range(0, 400, 10):
        send(fast, *names[begin : begin + 10], task="more")
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    done = [label for program in programs for label in finish(program).split()]
    assert sorted(done) == sorted(names + [f"{name}x" for name in names])
    fast.close().wait(PATIENCE)
    assert complaints(path) == []


def test_opening_while_open_changes_nothing(engine: SQLiteEngine) -> None:
    session = engine._session
    replies = [engine.open() for _ in range(5)]
    for reply in replies:
        reply.wait(PATIENCE)
    assert engine._session is session


def test_opening_and_closing_from_many_threads_comes_to_an_end(path: Path) -> None:
    engine = SQLiteEngine(path, ballast=0)

    def turn(index: int) -> None:
        (engine.open() if index % 2 else engine.close()).wait(30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(turn, range(40)))
    engine.open().wait(PATIENCE)
    send(engine, "a")
    engine.close().wait(PATIENCE)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_watchers_outlive_a_reopening(engine: SQLiteEngine) -> None:
    hinted = threading.Event()
    stop = engine.watch("ready", hinted.set)
    engine.close().wait(PATIENCE)
    engine.open().wait(PATIENCE)
    send(engine, "a")
    assert hinted.wait(PATIENCE)
    hinted.clear()
    stop()
    send(engine, "b")
    assert not hinted.is_set()


def test_leases_outlive_a_reopening(engine: SQLiteEngine) -> None:
    send(engine, "a")
    lease = claim_one(engine)
    engine.close().wait(PATIENCE)
    engine.open().wait(PATIENCE)
    assert record(engine, "a").holder == "worker-1"
    assert settle(engine, lease).lost == frozenset()


def test_a_transaction_of_another_engine_is_refused(engine: SQLiteEngine) -> None:
    with pytest.raises(UsageError, match="object is not a transaction of this engine"):
        engine.apply(Put("k", b""), object())  # type: ignore[arg-type] # that is the point


def test_a_connection_of_the_callers_own_cannot_be_adopted(engine: SQLiteEngine) -> None:
    with pytest.raises(Unsupported, match=r"ctx\.transaction"):
        engine.adopt(object())


def test_what_is_not_open_says_so_and_makes_nothing(path: Path) -> None:
    engine = SQLiteEngine(path, ballast=4096)
    with pytest.raises(EngineClosed, match="not open: call open"):
        send(engine, "a")
    with pytest.raises(EngineClosed):
        engine.begin()
    engine.close().wait(PATIENCE)
    assert not path.exists()


@pytest.mark.parametrize("room", range(4))
def test_after_a_reboot_a_full_disk_is_opened_in_space_that_the_reserve_gives_up(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    with Disk() as disk:
        engine = SQLiteEngine(path, clock=clock, ballast=65_536, vfs=disk.name)
        engine.open().wait(PATIENCE)
        engine.close().wait(PATIENCE)
        spend = Ballast.spend

        def free(ballast: Ballast) -> bool:
            disk.room = None
            return spend(ballast)

        monkeypatch.setattr(Ballast, "spend", free)
        clock.reboot()
        disk.room = room
        engine.open().wait(PATIENCE)
        assert disk.room != room, "there was room enough: nothing is shown"
        assert engine.path.with_name("jobs.db-ballast").stat().st_size < 65_536
        engine.close().wait(PATIENCE)


def test_no_queue_is_always_served_first(engine: SQLiteEngine) -> None:
    for index in range(40):
        send(engine, f"r{index}", queue="red")
        send(engine, f"b{index}", queue="blue")
    first = {labels(claim(engine, 1, queues=("red", "blue")))[0][0] for _ in range(30)}
    assert first == {"r", "b"}


def test_a_parked_request_hears_of_a_queue_that_goes_on(engine: SQLiteEngine) -> None:
    send(engine, "a")
    engine.apply(PauseQueue("default")).wait(PATIENCE)
    parked = engine.lease(["default"], limit=1, seconds=30, holder="w", wait=30)
    until(lambda: engine._session.writer._parked, "the request to be parked")  # type: ignore[union-attr] # it is open
    engine.apply(PauseQueue("default", paused=False)).wait(PATIENCE)
    assert labels(parked.wait(PATIENCE)) == ["a"]
