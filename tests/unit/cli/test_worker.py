"""`headrace worker` turns its options into what the supervisor is to do."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

import pytest

from headrace import App
from headrace.cli.exits import Exit
from headrace.order import Work
from headrace.signals import STOP_SIGNALS
from tests.unit.cli.conftest import Terminal

PROGRAM = (
    "from headrace import App\napp = App()\n"
    "@app.task(queue='images')\ndef f(): ...\n"
    "@app.task\ndef g(): ...\n"
)


@dataclass
class Recorder:
    """Stands for the supervisor, and remembers what it was told."""

    code: int = 0
    told: list[Any] = field(default_factory=list)

    def __call__(self, app: App, work: Work, processes: int) -> Recorder:
        assert app.engine is not None
        self.told += [work, processes]
        return self

    def run(self) -> int:
        return self.code


@pytest.fixture
def supervisor(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    (terminal.folder / "shop.py").write_text(PROGRAM)
    recorder = Recorder()
    monkeypatch.setattr("headrace.cli.worker.Supervisor", recorder)
    return recorder


def test_defaults(terminal: Terminal, supervisor: Recorder) -> None:
    result = terminal("worker", "shop.py")
    assert result.exit_code == Exit.OK
    assert supervisor.told == [Work(target="shop.py"), 1]
    assert "1 worker process" in result.stderr
    assert "default, images" in result.stderr


def test_options(terminal: Terminal, supervisor: Recorder) -> None:
    limits = ["--grace", "2", "--max-jobs", "10", "--max-memory", "99"]
    args = ["-p", "3", "-c", "7", "-q", "images,default", *limits]
    assert terminal("worker", "shop.py", *args).exit_code == Exit.OK
    work = Work(
        target="shop.py",
        queues=("images", "default"),
        settings={"concurrency": 7, "threads": 7, "grace": 2.0},
        most_jobs=10,
        most_mib=99,
    )
    assert supervisor.told == [work, 3]


def test_the_supervisors_code_is_the_commands(terminal: Terminal, supervisor: Recorder) -> None:
    supervisor.code = 2
    assert terminal("worker", "shop.py").exit_code == Exit.USAGE


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_before_there_is_anything_to_end(
    terminal: Terminal, supervisor: Recorder, number: signal.Signals
) -> None:
    (terminal.folder / "shop.py").write_text(f"import signal\nsignal.raise_signal({int(number)})\n")
    result = terminal("worker", "shop.py")
    assert (result.exit_code, result.stdout, result.stderr) == (Exit.OK, "", "")
    assert supervisor.told == []


@pytest.mark.parametrize(
    "args", [["-p", "0"], ["-c", "0"], ["-q", "no name"], ["--grace", "0"], ["--max-jobs", "0"]]
)
def test_options_that_make_no_sense(
    terminal: Terminal, supervisor: Recorder, args: list[str]
) -> None:
    result = terminal("worker", "shop.py", *args)
    assert result.exit_code == Exit.USAGE
    assert result.stderr.count("\n") == 1
    assert supervisor.told == []
