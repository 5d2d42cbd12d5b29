"""The demo's App as its worker processes import it; its URL comes from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.app import App
from headrace.cli import library
from headrace.cli.demo_report import Report
from headrace.task import Call

QUEUE = "headrace-demo"
TARGET = "headrace.cli.demo_app:app"


app = App()


@app.task(queue=QUEUE)
def examine(file: str, below: Path) -> Report:
    """Examine one file of the standard library."""
    return Report(library.examine(file, below), os.getpid())


def calls(files: list[str], below: Path) -> list[Call[Report]]:
    """Return a call for each file."""
    return [examine.call(file, below) for file in files]
