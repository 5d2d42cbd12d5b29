"""The process that `headrace dev` starts serves what it is told to, and says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.child import Child
from headrace.cli.dev_process import Order, encode
from headrace.order import STOP

PROGRAM = "from headrace import App\napp = App('memory:')\n@app.task\ndef f(): ...\n"


def begin(order: Order | None) -> Child:
    """Start a process, and tell it what to serve."""
    child = Child("headrace.cli.dev_process")
    if order is not None:
        child.channel.send(encode(order))
    return child


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("from headrace import App\napp = App()\n", "declares no task"),
        (PROGRAM.replace("'memory:'", "'nothing:'"), "headrace: "),
    ],
)
def test_a_program_that_cannot_be_served(tmp_path: Path, program: str, told: str) -> None:
    file = tmp_path / "shop.py"
    file.write_text(program)
    child = begin(Order(str(file), 0))
    try:
        evidence = child.evidence()
    finally:
        child.close()
    assert evidence.end == "exit code 2"
    assert told in "\n".join(evidence.logs)


@pytest.mark.parametrize("goes", [False, True])
def test_it_ends_when_it_is_told_to_or_nobody_is_left_to_tell_it(
    tmp_path: Path, *, goes: bool
) -> None:
    file = tmp_path / "shop.py"
    file.write_text(PROGRAM)
    child = begin(Order(str(file), 0))
    try:
        if goes:
            child.channel.close()
        else:
            child.channel.send(STOP)
        assert child.wait(60) == 0
    finally:
        child.close()


def test_a_parent_that_changes_its_mind() -> None:
    child = begin(None)
    child.channel.close()
    assert child.wait(60) == 0
    child.close()
