"""The layer contracts of pyproject.toml refuse what they say they refuse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.style.source import ROOT

SOUND = {
    "errors": "",
    "message": "from headrace.errors import *",
    "engine": "from headrace.message import *",
    "engines/memory": "from headrace.engine import *",
    "engines/sqlite/executor": "from headrace.engine import *",
    "pools/threads": "from headrace import pool",
    "pools/loop": "from headrace import pool",
    "pool": "",
    "worker/consume": "from headrace.engine import *",
    "worker/execute": "from headrace.worker.consume import *",
    "app": "from headrace.worker.execute import *",
}


def lint(folder: Path, modules: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Judge a package of the given modules by the project's contracts."""
    for name, text in modules.items():
        path = folder / "headrace" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in [folder / "headrace", *(folder / "headrace").rglob("*/")]:
        (path / "__init__.py").touch()
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config",
         ROOT / "pyproject.toml"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_sound_layers_are_kept(tmp_path: Path) -> None:
    result = lint(tmp_path, SOUND)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("engine", "from headrace import app", "imports point down BROKEN"),
        ("worker/consume", "from headrace.engines import memory", "imports point down BROKEN"),
        (
            "engine",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from headrace import app",
            "imports point down BROKEN",
        ),
        ("surprise", "", "imports point down BROKEN"),
        ("errors", "from headrace import message", "No cycles among siblings, at any depth BROKEN"),
        ("worker/consume", "from headrace.worker import execute", "at any depth BROKEN"),
        ("engines/memory", "from headrace.engines.sqlite import executor", "another engine BROKEN"),
        ("pools/loop", "from headrace.pools import threads", "another pool BROKEN"),
    ],
)
def test_contracts_find_a_planted_import(
    tmp_path: Path, module: str, text: str, complaint: str
) -> None:
    result = lint(tmp_path, SOUND | {module: text})
    assert result.returncode == 1
    assert complaint in result.stdout
