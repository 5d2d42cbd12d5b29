"""What a user's type checker infers from the public API is what api.py asserts.

Beside this file, api.py and its like are never run: they are programs for mypy, which fails on
an `assert_type` that does not hold and on a `type: ignore` that is not needed.
"""

import subprocess
import sys
from pathlib import Path

import headrace
from tests.style.source import ROOT

HERE = Path(__file__).parent


def programs() -> list[Path]:
    """Name the programs that the type checker judges."""
    return [path for path in sorted(HERE.glob("[!_]*.py")) if not path.name.startswith("test_")]


def mypy(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Judge programs as strictly as a user can."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file",
            ROOT / "pyproject.toml",
            *paths,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_public_types_are_as_asserted() -> None:
    result = mypy(*(programs() or [Path(headrace.__file__)]))
    assert result.returncode == 0, result.stdout


def test_app_has_its_types_asserted() -> None:
    assert "App" not in headrace.__all__ or HERE / "api.py" in programs()


def test_checker_finds_a_planted_fault(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from typing import assert_type\nimport headrace\nassert_type(headrace.__all__, int)\n",
        encoding="utf-8",
    )
    result = mypy(program)
    assert result.returncode == 1
    assert "assert-type" in result.stdout
