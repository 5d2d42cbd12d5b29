"""A terminal to type commands into, and a database for them to work on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace import App
from headrace.cli.main import main
from headrace.record import Failure, State
from headrace.task import Task
from headrace.write import Settle, Settlement


@dataclass(frozen=True)
class Terminal:
    """Runs commands as `headrace ...` does, with what they print as the result."""

    folder: Path

    def __call__(self, *args: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(main, args, input=answer)

    def json(self, *args: str) -> Any:
        """Run a command that must succeed, with `--json`, and return what it says."""
        result = self(*args, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@dataclass(frozen=True)
class Shop:
    """An App with a task, and shortcuts to bring its jobs into a state."""

    app: App
    paint: Task[..., str, Any]

    def submit(self, count: int = 1, **options: Any) -> list[str]:
        """Submit jobs and return their ids."""
        task = self.paint.using(**options)
        return [job.id for job in self.app.submit([task.call(f"{n}") for n in range(count)])]

    def claim(self, limit: int = 1) -> list[str]:
        """Let a worker called `me` claim jobs that are ready."""
        leases = self.app.engine.lease(["default"], limit=limit, seconds=60.0, holder="me").wait(5)
        return [lease.job_id for lease in leases]

    def end(self, count: int = 1, to: State = State.DEAD, **failure: Any) -> list[str]:
        """Submit jobs, and end them."""
        ids = self.submit(count)
        leases = self.app.engine.lease(["default"], limit=count, seconds=60.0, holder="me").wait(5)
        assert {lease.job_id for lease in leases} == set(ids)
        why = Failure(**{"cause": "rejected", **failure}) if to is not State.SUCCEEDED else None
        settlements = tuple(Settlement(lease=lease, to=to, failure=why) for lease in leases)
        self.app.engine.apply(Settle(settlements)).wait(5)
        return ids

    def state(self, job_id: str) -> State | None:
        """Tell the state of a job; None if there is no such job."""
        return self.app.engine.states([job_id]).wait(5).get(job_id)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Work in an empty folder, with settings that suit a test, and leave no setting behind."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    os.environ.update(
        HEADRACE_URL=f"sqlite:///{tmp_path}/shop.db",
        HEADRACE_BALLAST="0",
        HEADRACE_DURABILITY="crash",
    )
    os.environ.pop("HEADRACE_DEBUG", None)
    yield Terminal(tmp_path)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def shop(terminal: Terminal) -> Iterator[Shop]:
    """Open the database that the commands see."""
    assert terminal.folder.is_dir()
    with App() as app:

        @app.task(tags=["art"])
        def paint(what: str, width: int = 1) -> str:
            return what * width

        yield Shop(app, paint)
