"""The command line in real processes: workers, signals, pipes, and the whole demo."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from headrace.signals import STOP_SIGNALS, held

PROGRAM = """
import time
from headrace import App, Retry

app = App()

@app.task(queue="images", retry=Retry(attempts=1))
def paint(what: str, seconds: float = 0.0) -> str:
    time.sleep(seconds)
    if what == "nothing":
        raise ValueError("no \\x1b[31mcolour")
    return what.upper()
"""
HEADRACE = Path(sys.executable).with_name("headrace")
PATIENCE = 110.0


@dataclass(frozen=True)
class Shell:
    """A folder to run commands in, with nothing set but the database."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: text for name, text in os.environ.items() if "HEADRACE" not in name}
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return ours | {
            "HEADRACE_URL": f"sqlite:///{self.folder}/shop.db",
            "HEADRACE_DURABILITY": "crash",
            "TMPDIR": str(temporary),
        }

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start a command; the fixture ends it, if nothing else does."""
        process = subprocess.Popen(
            [HEADRACE, *args],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return finish(self.start(*args))


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a command, and for certain not longer than our patience."""
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return a process's descendants, without itself."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end_all(process: subprocess.Popen[str]) -> None:
    """Kill a command of ours with its descendants, if it is still there."""
    for one in family(process):
        one.kill()
    if process.poll() is None:
        process.kill()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    process.wait()


def wait_until(what: str, happened: Callable[[], bool]) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it did not come true; the message says what was waited for.
    """
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def uses_database(process: subprocess.Popen[str]) -> bool:
    """Tell whether a command has come so far that it has opened the database."""
    return any(file.path.endswith("shop.db") for file in psutil.Process(process.pid).open_files())


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "shop.py").write_text(PROGRAM)
    made = Shell(tmp_path)
    yield made
    for process in made.started:
        end_all(process)


def test_submit_and_wait(shell: Shell) -> None:
    worker = shell.start("worker", "shop.py", "-p", "2")
    done = shell.run("submit", "shop.py", "paint", '{"what": "cat"}', "--wait")
    assert (done.returncode, done.stdout) == (0, '"CAT"\n'), done.stderr
    dead = shell.run("submit", "shop.py", "paint", '{"what": "nothing"}', "--wait")
    assert dead.returncode == 1
    assert dead.stdout == ""
    assert dead.stderr.count("\n") == 2  # the job's id, and why
    assert "ValueError: no \\x1b[31mcolour" in dead.stderr
    late = shell.run(
        "submit", "shop.py", "paint", '{"what": "cat", "seconds": 30}', "--wait",
        "--timeout", "0.5",
    )  # fmt: skip
    assert late.returncode == 6
    assert worker.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_workers_and_the_job_in_hand_is_finished(
    shell: Shell, number: signal.Signals
) -> None:
    job = shell.run("submit", "shop.py", "paint", '{"what": "cat", "seconds": 2}').stdout.strip()
    worker = shell.start("worker", "shop.py")
    wait_until("the job to run", lambda: "running" in shell.run("jobs", "show", job).stdout)
    children = family(worker)
    assert children
    worker.send_signal(number)
    assert finish(worker).returncode == 0
    assert not any(child.is_running() for child in children)
    (shown,) = json.loads(shell.run("jobs", "show", job, "--json").stdout)["jobs"]
    assert (shown["state"], shown["attempt"], shown["lost"]) == ("succeeded", 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_at_any_moment_of_the_start_ends_workers_cleanly(
    shell: Shell, number: signal.Signals
) -> None:
    shell.run("submit", "shop.py", "paint", '{"what": "cat"}')
    for milliseconds in range(0, 500, 100):
        with held():  # as if the interpreter itself had begun to heed signals at once
            worker = shell.start("worker", "shop.py")
        time.sleep(milliseconds / 1000)
        for process in (psutil.Process(worker.pid), *family(worker)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        ended = finish(worker)
        assert ended.returncode == 0, (milliseconds, ended.stderr)
        assert ended.stderr.count("\n") <= 1, (milliseconds, ended.stderr)  # what it will do
    (job,) = json.loads(shell.run("jobs", "list", "--json").stdout)["jobs"]
    assert job["state"] in ("ready", "succeeded")
    assert job["lost"] == 0


def test_ctrl_c_ends_a_wait(shell: Shell) -> None:
    job = shell.run("submit", "shop.py", "paint", '{"what": "cat"}').stdout.strip()
    waiting = shell.start("jobs", "wait", job)
    wait_until("the database to be open", lambda: uses_database(waiting))
    time.sleep(0.2)
    waiting.send_signal(signal.SIGINT)
    ended = finish(waiting)
    assert ended.returncode == 130
    assert ended.stderr.strip() == "headrace: interrupted"
    assert "ready" in shell.run("jobs", "show", job).stdout


def test_ctrl_c_during_submit_wait_tells_the_job(shell: Shell) -> None:
    waiting = shell.start("submit", "shop.py", "paint", '{"what": "cat"}', "--wait")
    assert waiting.stderr is not None
    job = waiting.stderr.readline().split()[1]
    time.sleep(0.2)
    waiting.send_signal(signal.SIGINT)
    ended = finish(waiting)
    assert ended.returncode == 130
    assert f"job {job} goes on" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["jobs list", "jobs list --json", "doctor", "--help"])
def test_a_broken_pipe_is_silent(shell: Shell, command: str) -> None:
    shell.run("submit", "shop.py", "paint", '{"what": "cat"}')
    reader, writer = os.pipe()
    os.close(reader)  # as `| true` does, before anything is printed
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [HEADRACE, *command.split()],
            cwd=shell.folder,
            env=shell.environment,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_a_program_that_breaks_stops_the_supervisor_with_one_line(shell: Shell) -> None:
    (shell.folder / "shop.py").write_text("1 / 0\n")
    done = shell.run("worker", "shop.py")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_whole_demo(shell: Shell) -> None:
    done = shell.run("demo", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["equal"] is True
    assert told["lost"] == 0
    assert told["workers"] == told["plain"]
    assert told["workers"]["files"] > 500
    killed = told["killed"]
    assert killed["pid"] > 0
    assert killed["lease"] == 30.0
    assert killed["held"]
    assert [job["id"] for job in killed["finished_by"]] == killed["held"]
    assert killed["pid"] not in {job["pid"] for job in killed["finished_by"]}
    assert not psutil.pid_exists(killed["pid"])
    assert list((shell.folder / "tmp").iterdir()) == []
    assert not (shell.folder / "shop.db").exists()


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("worker processes take them", signal.SIGINT),
        ("worker processes take them", signal.SIGHUP),
        ("a plain loop", signal.SIGINT),
        ("a plain loop", signal.SIGTERM),
    ],
)
def test_a_signal_ends_the_demo_and_it_cleans_up(
    shell: Shell, stage: str, number: signal.Signals
) -> None:
    demo = shell.start("demo", "--no-kill")
    assert demo.stderr is not None
    while stage not in demo.stderr.readline():
        assert demo.poll() is None
    time.sleep(0.5)
    children = family(demo)
    demo.send_signal(number)
    ended = finish(demo)
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not any(child.is_running() for child in children)
    assert list((shell.folder / "tmp").iterdir()) == []
