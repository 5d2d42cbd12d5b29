"""A node works until it is told to stop, and leaves nothing running."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace import App
from headrace.child import Channel
from headrace.errors import ConfigError
from headrace.node import Node
from headrace.order import HURRY, RETIRING, STOP, Work
from headrace.record import State
from headrace.worker import Exit
from tests.unit.waiting import until


@pytest.fixture(autouse=True)
def no_thread_is_left(app: App) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    app.close()
    until(lambda: set(threading.enumerate()) <= before, f"an end of {threading.enumerate()}")


def state_of(app: App, job_id: str) -> State:
    """Ask the engine anew: `run` has closed the App."""
    record = app.job(job_id).record
    assert record is not None
    return record.state


def test_it_runs_what_the_tasks_queues_hold(app: App) -> None:
    @app.task(queue="a")
    def plain(n: int) -> int:
        return n

    @app.task(queue="b")
    async def coroutine(n: int) -> int:
        return n

    node = Node(app, Work(settings={"poll": 0.05}))
    node.start()
    node.start()
    assert [plain.submit(1).result(30), coroutine.submit(2).result(30)] == [1, 2]
    assert node.stop()
    assert node.stop()
    assert node.worker is None
    assert plain.submit(3).refresh().state is State.READY


def test_it_can_be_started_again(app: App) -> None:
    @app.task
    def plain(n: int) -> int:
        return n

    node = Node(app, Work(settings={"poll": 0.05}))
    for n in range(2):
        node.start()
        assert plain.submit(n).result(30) == n
        assert node.stop()


def test_it_takes_jobs_from_the_queues_it_is_told(app: App) -> None:
    @app.task
    def plain(n: int) -> int:
        return n

    node = Node(app, Work(queues=("mine",), settings={"poll": 0.05}))
    node.start()
    other = plain.submit(1)
    assert plain.using(queue="mine").submit(2).result(30) == 2
    node.stop()
    assert other.refresh().state is State.READY


@pytest.mark.parametrize("settings", [{"concurrency": 0}, {"lease": "long"}])
def test_settings_are_checked(app: App, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Node(app, Work(settings=settings))


def test_unknown_settings_are_refused(app: App) -> None:
    with pytest.raises(ConfigError, match="leese"):
        Node(app, Work(settings={"leese": 3}))


def test_tasks_for_children_need_a_target(app: App) -> None:
    @app.task(process=True)
    def child() -> None: ...

    with pytest.raises(ConfigError, match="'child' has process=True"):
        Node(app).start()


def test_tasks_for_children_run_in_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(
        "import os\n"
        "from headrace import App\n"
        "app = App('sqlite:///jobs.db', poll=0.05)\n"
        "@app.task(process=True)\n"
        "def pid(n: int) -> tuple[int, int]:\n    return os.getpid(), n\n"
    )
    app = App("sqlite:///jobs.db", poll=0.05)

    @app.task(process=True)
    def pid(n: int) -> tuple[int, int]:
        pytest.fail(f"{n} ran here")

    node = Node(app, Work(target="program.py"))
    node.start()
    child, n = pid.submit(3).result(60)
    assert child != os.getpid()
    assert n == 3
    assert node.stop()
    app.close()


def test_a_signal_ends_it_in_order(app: App) -> None:
    done: list[int] = []

    @app.task
    async def finish() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        done.append(1)

    app.open()
    finish.submit()
    before = signal.getsignal(signal.SIGTERM)
    assert Node(app, Work(settings={"poll": 0.05})).run() == (Exit.CLEAN, True)
    assert done == [1]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_hurries_it(tmp_path: Path) -> None:
    file = App(f"sqlite:///{tmp_path / 'jobs.db'}", poll=0.05)

    @file.task
    async def endless() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(3600)

    job = endless.submit()
    assert Node(file, Work(settings={"grace": 3600.0})).run() == (Exit.CLEAN, True)
    assert state_of(file, job.id) is State.READY
    file.close()


def test_it_retires_when_it_has_done_enough(app: App) -> None:
    @app.task
    def plain(n: int) -> int:
        return n

    app.submit([plain.call(n) for n in range(10)])
    ours, theirs = map(Channel, socket.socketpair())
    node = Node(app, Work(most_jobs=3, settings={"poll": 0.05}))
    assert node.run(ours) == (Exit.RECYCLED, True)
    assert theirs.receive() == RETIRING
    theirs.close()
    ours.close()


@pytest.mark.parametrize("word", [STOP, None])
def test_its_supervisor_can_end_it(app: App, word: bytes | None) -> None:
    ours, theirs = map(Channel, socket.socketpair())
    if word is not None:
        theirs.send(word)
    else:
        theirs.close()
    assert Node(app, Work(queues=("q",), settings={"poll": 0.05})).run(ours) == (Exit.CLEAN, True)
    theirs.close()
    ours.close()


def test_its_supervisor_alone_can_hurry_it(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path / 'jobs.db'}", poll=0.05)
    ours, theirs = map(Channel, socket.socketpair())
    cut: list[float] = []

    @app.task
    async def endless() -> None:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)
        theirs.send(HURRY)
        cut.append(1)
        await asyncio.sleep(3600)

    job = endless.submit()
    assert Node(app, Work(settings={"grace": 3600.0})).run(ours) == (Exit.CLEAN, True)
    theirs.close()
    ours.close()
    assert cut == [1]
    assert state_of(app, job.id) is State.READY
    app.close()
