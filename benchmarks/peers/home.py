"""A peer's own environment: made once from its pins, and a way to run things in it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.roster import Peer
from benchmarks.report import NotMeasuredError
from benchmarks.workers import REPOSITORY, environment

HOMES = REPOSITORY / "build" / "peers"
INSTALL_SECONDS = 600
RUN_SECONDS = 300


def set_up(peer: Peer) -> Path:
    """Return the interpreter of the peer's environment, made or renewed when its pins changed.

    Raises:
        NotMeasuredError: its packages could not be installed.
    """
    folder = HOMES / peer.name
    python = folder / "bin" / "python"
    done = folder / "installed"
    wanted = hashlib.sha256(peer.pins.read_bytes() + sys.version.encode()).hexdigest()
    if done.exists() and done.read_text() == wanted:
        return python
    venv.create(folder, clear=True, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run([*install, "-r", str(peer.pins)], INSTALL_SECONDS, {}, python)
    done.write_text(wanted)
    return python


def ask(python: Path, module: str, *arguments: str, env: Mapping[str, str]) -> object:
    """Run a module of `benchmarks.peers` there and return the JSON that it prints last.

    Raises:
        NotMeasuredError: it failed.
    """
    command = [str(python), "-m", f"benchmarks.peers.{module}", *arguments]
    return json.loads(_run(command, RUN_SECONDS, env, python).splitlines()[-1])


def _run(command: list[str], seconds: float, env: Mapping[str, str], python: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=environment(env, python),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotMeasuredError(f"{' '.join(command[1:5])} took over {seconds} s") from None
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no message"]
        raise NotMeasuredError(f"{' '.join(command[1:5])} failed: {words[-1]}")
    return done.stdout
