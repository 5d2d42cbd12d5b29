"""`headrace completion` prints a script, and the program answers its questions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.cli.exits import Exit
from tests.unit.cli.conftest import Terminal


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script(terminal: Terminal, shell: str) -> None:
    result = terminal("completion", shell)
    assert result.exit_code == Exit.OK
    assert "_HEADRACE_COMPLETE" in result.stdout


def test_unknown_shell(terminal: Terminal) -> None:
    assert terminal("completion", "tcl").exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("words", "offers"),
    [("headrace qu", "queues"), ("headrace jobs ca", "cancel"),
     ("headrace jobs list --state de", "dead")],
)  # fmt: skip
def test_offers(words: str, offers: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("headrace")],
        env=os.environ
        | {
            "_HEADRACE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"plain,{offers}" in done.stdout.splitlines()
