"""The demo's files are accepted by a gateway, and what their jobs found is fetched from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace import App
from headrace.cli import library
from headrace.cli.demo_http import Client, serving
from headrace.cli.demo_report import Report
from headrace.clock import SystemClock
from headrace.errors import EngineError
from headrace.node import Node

FILES = [f"m{number}.py" for number in range(25)]


@pytest.fixture
def below(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_text("def f(): ...\n")
    return tmp_path


@pytest.fixture
def app() -> Iterator[App]:
    with App("memory:") as app:

        @app.task
        def examine(file: str, below: Path) -> Report:
            return Report(library.examine(file, below), 1)

        yield app


def test_there_and_back(app: App, below: Path) -> None:
    with serving(app) as client:
        assert client is not None
        accepted = client.hand_over(FILES, below, SystemClock())
        assert accepted.files == ("m0.py", "m10.py", "m20.py")
        assert all(app.job(job_id).state == "ready" for job_id in accepted.ids)
        assert client.fetch(accepted) == {}
        node = Node(app)
        node.start()
        for job_id in accepted.ids:
            app.job(job_id).result(timeout=30)
        node.stop()
        found = client.fetch(accepted)
    assert found == {name: library.examine(name, below) for name in accepted.files}


def test_what_is_not_accepted_is_no_success(below: Path) -> None:
    with serving(App("memory:")) as client:
        assert isinstance(client, Client)
        with pytest.raises(EngineError, match=r"did not accept m0\.py: 422"):
            client.hand_over(FILES, below, SystemClock())


def test_without_the_extra_it_says_so(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "headrace.gateway", None)
    with serving(app) as client:
        assert client is None
    assert "pip install 'headrace[server]'" in capsys.readouterr().err
