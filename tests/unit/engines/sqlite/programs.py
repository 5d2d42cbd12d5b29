"""Programs of their own: for what one process cannot show about several, or about its rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[4]

PRELUDE = """
import json, os, sys, threading, time
from pathlib import Path
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import *
from headrace.record import *
from headrace.testing.steps import *
from headrace.write import *
from tests.unit.engines.sqlite.looking import complaints, look
from tests.unit.waiting import until

def opened(path, **settings):
    engine = SQLiteEngine(path, **{"ballast": 0, **settings})
    engine.open().wait(PATIENCE)
    return engine

def ready(engine):
    return labels(claim(engine, 1000))

def in_child(work):
    "Do something in a forked child; fail if it fails."
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        sys.stdout.flush()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def ended(*pids):
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"a child ended with {status}"

"""


def start(code: str, *arguments: object, rights: bool = True) -> subprocess.Popen[str]:
    """Start a program; without rights, permissions hold for it even if it is root's."""
    command = [sys.executable, "-c", PRELUDE + dedent(code), *map(str, arguments)]
    if not rights and os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("optional: setpriv, to be refused what root may do")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], text: str = "") -> str:
    """Give a program its input and return what it printed; fail if it failed."""
    try:
        output, errors = process.communicate(text, timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        errors = f"it did not end in time\n{errors}"
    assert process.returncode == 0, f"{output}\n{errors}"
    return output


def run(code: str, *arguments: object, rights: bool = True) -> str:
    """Run a program to its end and return what it printed."""
    return finish(start(code, *arguments, rights=rights))
