"""`headrace serve` and `headrace dev` in real processes: requests, changes, signals."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

HEADRACE = Path(sys.executable).with_name("headrace")
PATIENCE = 60.0
PROGRAM = """
from headrace import App

app = App()

@app.task
def paint(what: str) -> str:
    return what + " in red"
"""
SERVING = re.compile(r"serving at (http://127\.0\.0\.1:\d+)")


class Program:
    """A command that runs in a folder, and what it says on standard error."""

    def __init__(self, folder: Path, *args: str) -> None:
        ours = {name: text for name, text in os.environ.items() if "HEADRACE" not in name}
        settings = {"HEADRACE_URL": f"sqlite:///{folder}/shop.db", "HEADRACE_DURABILITY": "crash"}
        self.process = subprocess.Popen(
            [HEADRACE, *args], cwd=folder, env=ours | settings, stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._lines.put(line)

    def says(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """Wait for a line."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            self.said.append(line)
            if found := re.search(pattern, line):
                return found

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Kill what is left of it."""
        with_children = []
        if self.process.poll() is None:
            with_children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
        for child in with_children:
            child.kill()
        self.process.wait()
        self._reader.join()


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "shop.py").write_text(PROGRAM)
    started: list[Program] = []

    def begin(*args: str) -> Program:
        started.append(Program(tmp_path, *args))
        return started[-1]

    yield begin
    for program in started:
        program.close()


def result_of(url: str, what: str) -> Any:
    """Hand a job over, and ask until it is done."""
    told = httpx2.post(f"{url}/v1/tasks/paint", json={"what": what})
    assert told.status_code == 202, told.text
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        job = httpx2.get(url + told.headers["Location"]).json()
        if job["state"] == "succeeded":
            return job["result"]
        time.sleep(0.05)
    raise AssertionError(job)


def test_dev_works_and_follows_changes(start: Start, tmp_path: Path) -> None:
    program = start("dev", "shop.py", "--port", "0")
    url = program.says(SERVING)[1]
    assert result_of(url, "cat") == "cat in red"

    (tmp_path / "shop.py").write_text(PROGRAM.replace("red", "sky blue"))
    assert program.says(SERVING)[1] == url
    assert result_of(url, "cat") == "cat in sky blue"

    (tmp_path / "shop.py").write_text("import nothing_of_that_name\n")
    program.says("ModuleNotFoundError: No module named 'nothing_of_that_name'")
    program.says("the next change starts it again")

    (tmp_path / "shop.py").write_text(PROGRAM.replace("red", "green"))
    assert program.says(SERVING)[1] == url
    assert result_of(url, "dog") == "dog in green"

    children = psutil.Process(program.process.pid).children(recursive=True)
    assert children
    assert program.end(signal.SIGINT) == 0
    assert not any(child.is_running() for child in children)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_in_order(start: Start, number: signal.Signals) -> None:
    program = start("serve", "shop.py", "--port", "0")
    url = program.says(SERVING)[1]
    with httpx2.Client() as client:
        assert client.get(f"{url}/readyz").status_code == 200
        assert client.post(f"{url}/v1/tasks/paint", json={"what": "cat"}).status_code == 202
        assert program.end(number) == 0


def test_a_port_that_is_taken_is_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in ("serve", "dev"):
            program = start(command, "shop.py", "--port", port)
            found = program.says("headrace: ")
            assert "Address already in use; choose another place" in found.string
            assert program.process.wait(PATIENCE) == 2
            assert program.said == [found.string]


def test_a_key_opens(start: Start, tmp_path: Path) -> None:
    made = start("serve", "shop.py", "--port", "0", "--require-keys")
    url = made.says(SERVING)[1]
    path = f"{url}/v1/tasks/paint"
    assert httpx2.post(path, json={"what": "cat"}).status_code == 401
    env = os.environ | {"HEADRACE_URL": f"sqlite:///{tmp_path}/shop.db"}
    token = subprocess.check_output([HEADRACE, "keys", "create"], env=env, text=True).strip()
    shown = {"Authorization": f"Bearer {token}"}
    assert httpx2.post(path, json={"what": "cat"}, headers=shown).status_code == 202
