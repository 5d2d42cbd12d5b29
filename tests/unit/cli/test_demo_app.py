"""The demo's task tells what is in a file, and which process looked."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.cli import library
from headrace.cli.demo_app import QUEUE, TARGET, app, calls, examine
from headrace.cli.demo_report import Report
from headrace.target import load


def test_task(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    found = examine("a.py", tmp_path)
    assert found == Report(library.examine("a.py", tmp_path), os.getpid())


def test_calls_are_for_the_demos_queue(tmp_path: Path) -> None:
    (first, second) = calls(["a.py", "b.py"], tmp_path)
    assert first.message("id").queue == QUEUE
    assert first.body != second.body


def test_workers_find_the_app() -> None:
    assert load(TARGET) is app
