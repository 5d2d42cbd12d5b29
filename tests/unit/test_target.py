"""A target leads to an App, or to a sentence that says what is wrong with it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.target import load


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a program with one App, in the current directory."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("QUEUE = 'found'\n")
    path = tmp_path / "program.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "import beside\n"
        "from headrace import App\n"
        "app = again = App('memory:')\n"
        "@dataclass\nclass Point:\n    x: int\n"
        "@app.task(queue=beside.QUEUE)\n"
        "def task(point: Point) -> int:\n    return point.x\n"
    )
    yield path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize("target", ["program.py", "program.py:app", "program", "program:app"])
def test_a_target_is_a_file_or_a_module(target: str) -> None:
    app = load(target)
    assert app.registry.get("task").options.queue == "found"
    assert "task" in load(target).registry


def test_a_file_may_be_anywhere(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert "task" in load(str(program)).registry


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("gone.py", "there is no file gone.py"),
        ("gone", "there is no module 'gone'"),
        ("gone.deeper:app", "there is no module 'gone.deeper'"),
        ("program.py:task", "'task' is no App; the Apps there are: app, again"),
        ("program:none", "'none' is no App"),
        ("beside.py", "beside.py has no App"),
        ("several.py", "several Apps: say which, such as several.py:first"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, target: str, complaint: str) -> None:
    (tmp_path / "several.py").write_text(
        "from headrace import App\nfirst = App('memory:')\nsecond = App('memory:')\n"
    )
    with pytest.raises(ConfigError, match=complaint):
        load(target)


def test_what_the_program_lacks_is_not_mistaken_for_the_program(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load("broken")
