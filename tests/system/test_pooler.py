"""Workers whose connections are a pooler's, which gives each transaction another one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.app import App
from headrace.engines.postgresql.engine import PostgreSQLEngine
from headrace.engines.postgresql.link import Link
from headrace.errors import HeadraceError
from headrace.record import State
from headrace.testing.steps import PATIENCE, claim, send, settle
from tests.faults.processes import Processes, until
from tests.pgbouncer import some_pooler
from tests.postgresql import Place, some_place
from tests.system import program

ROOT = Path(__file__).parents[2]
JOBS = 60
ROUNDS = 30


@pytest.fixture
def place() -> Iterator[Place]:
    with some_place() as place:
        yield place


@pytest.fixture
def url(place: Place) -> Iterator[str]:
    with some_pooler(place) as url:
        yield url


def test_a_worker_behind_a_pooler_runs_what_comes(
    url: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEM_URL", url)
    monkeypatch.setenv("HEADRACE_ALLOW_UNSAFE_SERVER", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # One that submits by way of the pooler, and one that is at the server itself.
    apps = [App(where, poll=0.1, allow_unsafe_server=True) for where in (url, place.url)]
    with Processes(tmp_path) as processes, apps[0], apps[1]:
        processes.python("tests.system.supervise", json.dumps({"processes": 2}))
        ids = []
        for app in apps:
            quick = app.task(name="quick")(program.quick.function)
            ids += [job.id for job in app.submit([quick.call(n) for n in range(JOBS)])]

        def states() -> Counter[State]:
            return Counter(apps[0].engine.states(ids).wait(30).values())

        until(
            lambda: states()[State.SUCCEEDED] == 2 * JOBS,
            "all to succeed",
            60,
            show=lambda: f"{states()}",
        )
        assert app.job(ids[-1]).result(timeout=30) == JOBS - 1


def rounds(url: str, label: str) -> None:
    """Let two engines take turns, until each statement was sent often enough to be prepared."""
    engines = [PostgreSQLEngine(url, allow_unsafe_server=True) for _ in range(2)]
    try:
        for engine in engines:
            engine.open().wait(PATIENCE)
        for number in range(ROUNDS):
            one, other = engines
            send(one, f"{label}{number}")
            (lease,) = claim(other)
            settle(one, lease)
            engines.reverse()
    finally:
        for engine in engines:
            engine.close().wait(PATIENCE)


def test_what_needs_a_session_is_found_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds(url, "a")

    def settle_in(link: Link, settings: tuple[str, ...]) -> None:
        asked(link, settings)
        link._settings = ()
        link._connection.prepare_threshold = 2

    asked = Link._settle_in
    monkeypatch.setattr(Link, "_settle_in", settle_in)
    with pytest.raises(HeadraceError, match="prepared statement"):
        rounds(url, "b")
