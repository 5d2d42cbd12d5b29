"""Prefork servers: an App that was opened and used before the fork serves parent and children."""

from __future__ import annotations

import json
import re
import signal
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.app import App
from tests.faults.processes import Process, Processes, until
from tests.system import prefork
from tests.system.ticket import Ticket, tickets

ROOT = Path(__file__).parents[2]
WORKERS = 2


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a file of its own, here and in every process that is started."""
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    monkeypatch.setenv("SYSTEM_URL", url)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return url


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


@pytest.fixture
def worker(processes: Processes, url: str) -> Process:  # noqa: ARG001 - the file comes first
    """Start a worker process elsewhere."""
    return processes.python("tests.system.supervise", json.dumps({"processes": 1}))


def check(url: str, drawn: list[Ticket]) -> None:
    """Check that every job that was accepted has its result, here and in the ledger."""
    accepted = {ticket.job: ticket.number for ticket in drawn}
    told = {ticket.job: ticket.result for ticket in drawn if ticket.result is not None}
    with App(url) as app:
        stored = {job: app.job(job).result(60) for job in accepted}
    assert stored == accepted
    assert told == {job: accepted[job] for job in told}


def waited_for(drawn: list[Ticket]) -> Counter[int]:
    """Count the results that each process has waited for."""
    return Counter(ticket.pid for ticket in drawn if ticket.result is not None)


def test_a_prefork_server_works_before_during_and_after_its_forks(
    processes: Processes, worker: Process, url: str
) -> None:
    server = processes.python("tests.system.prefork")
    assert server.wait(100) == 0, server.output() + worker.output()
    drawn = tickets(server.output())
    check(url, drawn)
    assert len(drawn) % 2 == 0  # each has its result in the end
    found = waited_for(drawn)
    assert found.pop(server.pid) >= 2 * prefork.JOBS
    assert list(found.values()) == [prefork.JOBS] * 2 * prefork.CHILDREN


def ask(port: str, number: int) -> list[Ticket]:
    """Ask the server for jobs; return their tickets."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{number}", timeout=60) as answer:
        return tickets("".join(f"{json.dumps(one)}\n" for one in json.load(answer)))


def ask_until(port: str, pids: int, server: Process) -> list[Ticket]:
    """Ask, several at a time, until so many processes have answered."""
    answers: list[Ticket] = []

    def enough() -> bool:
        with ThreadPoolExecutor(2 * pids) as pool:
            for drawn in pool.map(lambda number: ask(port, 10 * number), range(1, 2 * pids + 1)):
                answers.extend(drawn)
        return len(waited_for(answers)) >= pids

    until(enough, f"answers of {pids} processes", 60, show=server.output)
    return answers


def drawn_by(server: Process) -> int:
    return waited_for(tickets(server.output()))[server.pid]


def test_gunicorn_with_preload(processes: Processes, worker: Process, url: str) -> None:
    server = processes.start(
        sys.executable, "-m", "gunicorn", "tests.system.web:application",
        "--preload", "--worker-class", "sync", "--workers", str(WORKERS),
        "--bind", "127.0.0.1:0", "--graceful-timeout", "600", "--timeout", "600",
    )  # fmt: skip
    server.expect("Listening at", 60)
    found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", server.output())
    assert found, server.output()
    answers = ask_until(found[1], WORKERS, server)
    assert server.pid not in waited_for(answers)
    before = drawn_by(server)
    until(lambda: drawn_by(server) > before, "more of the parent", show=server.output)
    processes.signal(server.pid, signal.SIGTTIN)  # one worker more: it forks once again
    answers += ask_until(found[1], WORKERS + 1, server)
    before = drawn_by(server)
    until(lambda: drawn_by(server) > before, "more of the parent", show=server.output)
    processes.signal(server.pid, signal.SIGTERM)
    assert server.wait() == 0, server.output() + worker.output()
    check(url, tickets(server.output()))
    assert {ticket.job for ticket in answers} <= {t.job for t in tickets(server.output())}
