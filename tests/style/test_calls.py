"""Time, randomness, imports and the outside world are reached through their seams alone."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.style.source import Source, package


@dataclass(frozen=True)
class Ban:
    """Names that only some files of the package may use, and why."""

    names: tuple[str, ...]
    allowed: tuple[str, ...]  # how a path below src/headrace may begin
    because: str


BANS = [
    Ban(
        names=(
            "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns",
            "time.perf_counter", "time.perf_counter_ns",
            "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today",
            "datetime.date.today",
        ),
        allowed=("clock.py", "cli", "testing"),
        because="time comes from headrace.clock, so that tests and simulations can move it",
    ),
    Ban(
        names=("random", "secrets", "os.urandom", "uuid.uuid1", "uuid.uuid4"),
        allowed=("ids.py",),
        because="ids and randomness come from headrace.ids, so that they can be seeded",
    ),
    Ban(
        names=("pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml.load", "eval", "exec"),
        allowed=(),
        because="data never becomes code",
    ),
    Ban(
        names=("__import__", "importlib.import_module", "importlib.util", "runpy"),
        # connect: the lazy table of engines; cli and target: the APP that the user names.
        allowed=("connect.py", "cli", "target.py"),
        because="nothing is imported by a name found in data",
    ),
    Ban(
        names=(
            "open", "io.open", "os.open", "urllib.request", "http.client",
            "socket.socket", "socket.create_connection", "asyncio.open_connection",
        ),
        allowed=(
            "engines/", "child.py", "cli", "config.py", "gateway/server.py", "testing",
            "webhooks/sender.py",
        ),
        because="files and sockets are opened by engines and edges, never by behaviour",
    ),
    Ban(
        names=("apsw", "sqlite3"),
        allowed=("engines/", "testing"),
        because="a database's driver is known to its engine alone",
    ),
    Ban(
        names=("click", "rich"),
        allowed=("cli",),
        because="the terminal is the command line's business",
    ),
    Ban(
        names=("pydantic",),
        allowed=("codec",),
        because="pydantic is optional: the codec alone knows whether it is there",
    ),
]  # fmt: skip


def references(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield every imported or used name in full, seen through import aliases, with its line."""
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                origins[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}", node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and (name := _dotted(node)):
            head, _, rest = name.partition(".")
            yield f"{origins.get(head, head)}.{rest}".rstrip("."), node.lineno


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return f"{owner}.{node.attr}"
    return None


def breaches(source: Source) -> set[str]:
    """Say which banned names a file of the package uses."""
    return {
        f"{source.path}:{line} uses {banned}: {ban.because}"
        for ban in BANS
        if not source.path.startswith(ban.allowed)
        for name, line in references(source.tree)
        for banned in ban.names
        if name == banned or name.startswith(f"{banned}.")
    }


def test_package_uses_the_seams() -> None:
    sources = package()
    assert sources
    assert sorted(complaint for source in sources for complaint in breaches(source)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\nx = time.time()",
        "from time import monotonic as now\nx = now()",
        "import time as t\nclass C:\n    make = t.monotonic",
        "from datetime import datetime\nx = datetime.now()",
        "import random",
        "from random import Random",
        "from uuid import uuid4",
        "import os\nx = os.urandom(8)",
        "import pickle",
        "x = eval('1')",
        "exec('x = 1')",
        "import yaml\nx = yaml.load('')",
        "x = __import__('os')",
        "import importlib\nx = importlib.import_module('os')",
        "from importlib import import_module",
        "with open('x') as file: ...",
        "import socket\nx = socket.socket()",
        "import apsw",
        "from rich.table import Table",
        "def f():\n    from pydantic import BaseModel",
    ],
)
def test_rule_finds_a_planted_call(text: str) -> None:
    assert breaches(Source("worker/execute.py", text))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("clock.py", "import time\nx = time.time()"),
        ("ids.py", "from random import Random"),
        ("engines/sqlite/engine.py", "import apsw"),
        ("worker/execute.py", "import re\nx = re.compile('x').match('x').end()"),
        ("worker/execute.py", "class Engine:\n    def open(self): self.open()"),
    ],
)
def test_rule_leaves_the_seams_alone(path: str, text: str) -> None:
    assert not breaches(Source(path, text))
