"""`import headrace` costs nothing, and offers everything that is public."""

from __future__ import annotations

import subprocess
import sys

import pytest

import headrace
from headrace import public


def printed(program: str) -> str:
    """Return what a program of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    program = "import sys, headrace; print([n for n in sys.modules if n.startswith('headrace')])"
    assert printed(program) == "['headrace']"


def test_using_it_brings_nothing_heavy_along() -> None:
    heavy = {"asyncio", "apsw", "click", "cronsim", "rich", "pydantic", "multiprocessing"}
    unused = {"tomllib", "concurrent.futures"}
    program = f"""
import os, sys, tempfile
os.chdir(tempfile.gettempdir() + "/..")  # where no pyproject.toml is
import headrace
headrace.App()
print(sorted({heavy | unused} & sys.modules.keys()))
"""
    assert printed(program) == "[]"


@pytest.mark.parametrize("name", public.__all__)
def test_the_package_offers_what_is_public(name: str) -> None:
    assert getattr(headrace, name) is getattr(public, name)
    assert name in dir(headrace)


def test_what_is_public_is_there_at_the_first_use_whatever_its_form() -> None:
    assert printed("from headrace import App; print(App.__module__)") == "headrace.app"
    assert printed("from headrace import *; print(Retry.__name__)") == "Retry"
    assert printed("import headrace; print(headrace.errors.QueueFull.__name__)") == "QueueFull"
    assert printed("import headrace; print('App' in dir(headrace))") == "True"
    assert printed("import headrace; print(headrace.__all__[0])") == "App"


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="'headrace' has no attribute 'Nope'"):
        _ = headrace.Nope  # type: ignore[attr-defined] # a type checker sees it, too
    with pytest.raises(ImportError, match="Nope"):
        exec("from headrace import Nope")  # noqa: S102 - a program that a type checker does not see
