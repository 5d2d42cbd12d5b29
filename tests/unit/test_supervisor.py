"""A supervisor replaces children that end, gives back what they held, and ends when told to.

The children are small scripts that do as the test wants, instead of workers.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace import App
from headrace.errors import EngineBusy
from headrace.order import Work
from headrace.record import Cause
from headrace.reply import Reply
from headrace.supervisor import Supervisor
from headrace.write import Reclaim, Reclaimed
from tests.unit.waiting import until

Make = Callable[..., "Case"]

PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
from headrace import order
from headrace.child import Channel

channel = Channel.of_parent()
work = order.decode(channel.receive())
born = Path("born")
with born.open("a") as file:
    file.write(work.holder + "\\n")
number = len(born.read_text().splitlines())

def leave(code):
    channel.send(order.farewell(code))
    sys.exit(code)
"""


class Case:
    """A supervisor whose children run a piece of code, in what would be the main thread."""

    def __init__(self, app: App, folder: Path, processes: int, **work: Any) -> None:
        self.folder = folder
        self.reclaims: list[Reclaim] = []
        self.failures: list[BaseException] = []
        self.events: list[str] = []
        app.open()
        app.engine.apply = self._apply  # type: ignore[method-assign] # to see what is given back
        app.telemetry.subscribe(lambda name, _: self.events.append(name))
        self.supervisor = Supervisor(app, Work(target="unused", **work), processes)
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def wait(self) -> int | None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.code

    def holders(self) -> list[str]:
        born = self.folder / "born"
        return born.read_text().splitlines() if born.exists() else []

    def _run(self) -> None:
        self.code = self.supervisor.run()

    def _apply(self, write: Any, tx: object = None) -> Reply[Any]:
        assert isinstance(write, Reclaim)
        assert tx is None
        if self.failures:
            return Reply.failed(self.failures.pop(0))
        self.reclaims.append(write)
        return Reply.of(Reclaimed())


@pytest.fixture
def make(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    before = set(psutil.Process().children(recursive=True))  # a server of other tests, perhaps
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("headrace.supervisor.ENTRY", "piece")
    monkeypatch.setattr("headrace.supervisor._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("headrace.supervisor._RECLAIM_PAUSE", 0.01)
    made: list[Case] = []

    def case(code: str, processes: int = 1, **work: Any) -> Case:
        (tmp_path / "piece.py").write_text(PREAMBLE + code)
        made.append(Case(app, tmp_path, processes, **work))
        monkeypatch.setattr(made[-1].supervisor._inbox, "signals", _nothing)
        made[-1].start()
        return made[-1]

    yield case
    for each in made:
        each.supervisor.stop()
        each.wait()
    assert set(psutil.Process().children(recursive=True)) <= before


@contextmanager
def _nothing(*_: object) -> Iterator[None]:
    """Stand for the signals, which only a main thread can heed."""
    yield


class _Timer:
    """Notes for how long it would run."""

    def __init__(self, timers: list[float], seconds: float) -> None:
        timers.append(seconds)
        self.daemon = False

    def start(self) -> None: ...


OBEY = """
while (message := channel.receive()) not in (order.STOP, None):
    pass
leave(0)
"""


def test_it_keeps_as_many_children_as_it_should_until_it_is_stopped(make: Make) -> None:
    case = make(OBEY, processes=3)
    until(lambda: len(case.holders()) == 3, "the children")
    assert len(set(case.holders())) == 3
    assert len(case.supervisor.pids) == 3
    case.supervisor.stop()
    assert case.wait() == 0
    assert case.supervisor.pids == []
    assert case.reclaims == []


@pytest.mark.parametrize(
    ("death", "end"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("os._exit(75)", "exit code 75"),
        ("os._exit(0)", "exit code 0"),
        ("os._exit(2)", "exit code 2"),
        ("os._exit(77)", "exit code 77"),
        ("channel.send(order.farewell(0)); os._exit(77)", "exit code 77"),
        ("raise ValueError", "exit code 1"),
    ],
)
def test_a_child_that_dies_is_replaced_and_its_leases_are_given_back(
    make: Make, death: str, end: str
) -> None:
    code = f"print('last words', file=sys.stderr)\nif number == 1:\n    {death}\n{OBEY}"
    case = make(code)
    until(lambda: len(case.holders()) == 2, "the replacement")
    until(lambda: case.reclaims, "the leases to be given back")
    (reclaim,) = case.reclaims
    assert reclaim.holder == reclaim.failure.holder == case.holders()[0]
    assert reclaim.failure.cause == Cause.LEASE_LOST
    assert end in reclaim.failure.message
    assert reclaim.failure.logs[0] == "last words"
    assert case.events.count("process.ended") == 1


@pytest.mark.parametrize(
    ("end", "counted"),
    [("sys.exit(1)", True), ("leave(75)", False), ("os._exit(75)", True), ("leave(76)", True)],
)
def test_only_the_engines_own_failure_is_counted_against_no_job(
    make: Make, end: str, *, counted: bool
) -> None:
    case = make(f"if number == 1: {end}" + OBEY)
    until(lambda: case.reclaims, "the leases to be given back")
    assert [reclaim.counted for reclaim in case.reclaims] == [counted]


def test_giving_back_is_tried_again(make: Make) -> None:
    case = make(f"if number == 1:\n    os._exit(9)\n{OBEY}")
    case.failures = [EngineBusy("locked"), EngineBusy("locked")]
    until(lambda: case.reclaims, "the leases to be given back")


def test_a_child_that_retires_is_replaced_before_it_ends(make: Make) -> None:
    case = make(
        "if number == 1:\n"
        "    channel.send(order.RETIRING)\n"
        "    while len(born.read_text().splitlines()) < 2:\n"
        "        time.sleep(0.01)\n"
        f"    leave(77)\n{OBEY}"
    )
    until(lambda: case.events.count("process.ended") == 1, "the first child to end")
    assert len(case.holders()) == 2
    assert len(case.supervisor.pids) == 1
    assert case.reclaims == []


def test_children_that_cannot_work_like_this_end_it(make: Make) -> None:
    assert make("leave(2)", processes=2).wait() == 2


def test_a_second_stop_hurries_the_children(make: Make) -> None:
    case = make("while channel.receive() != order.HURRY:\n    pass\nleave(0)")
    until(case.holders, "the child")
    case.supervisor.stop()
    case.supervisor.stop()
    assert case.wait() == 0


def test_a_child_that_does_not_end_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.supervisor._KILL_SECONDS", 0.0)
    case = make("time.sleep(3600)", settings={"grace": 0.1})
    until(case.holders, "the child")
    case.supervisor.stop()
    assert case.wait() == 0
    assert "killed by SIGKILL" in case.reclaims[0].failure.message


def test_a_child_may_take_the_grace_it_was_given(make: Make) -> None:
    case = make(OBEY, settings={"grace": 1234.0})
    until(case.holders, "the child")
    timers: list[float] = []
    case.supervisor._kill = lambda: None  # type: ignore[method-assign] # never in this test
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "Timer", lambda seconds, _: _Timer(timers, seconds))
        case.supervisor.stop()
        case.wait()
    assert timers == [1254]


def test_a_pause_grows_with_every_failure(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    case = make("os._exit(1)")
    pauses: list[float | None] = []
    wait = case.supervisor._stopping.wait

    def note(pause: float | None = None) -> bool:
        pauses.append(pause)
        return wait(0 if len(pauses) < 9 else 3600)

    monkeypatch.setattr(case.supervisor._stopping, "wait", note)
    until(lambda: len(pauses) >= 7, "some failures")
    grown = [pause for pause in pauses if pause]  # the very first child comes without a pause
    assert grown[0] in (0.01, 0.02)
    assert grown[1:4] == [grown[0] * 2, grown[0] * 4, grown[0] * 8]


def test_a_signal_stops_it(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = set(psutil.Process().children())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("headrace.supervisor.ENTRY", "piece")
    (tmp_path / "piece.py").write_text(PREAMBLE + OBEY)
    supervisor = Supervisor(app, Work(target="unused"), 1)
    before = signal.getsignal(signal.SIGTERM)

    def send() -> None:
        until((tmp_path / "born").exists, "the child")
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    assert supervisor.run() == 0
    sender.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert set(psutil.Process().children()) <= others
