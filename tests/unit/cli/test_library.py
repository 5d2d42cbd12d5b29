"""What a file contains is counted as `ast` sees it; what cannot be parsed is told, not hidden."""

from __future__ import annotations

import ast
import gc
import random
from pathlib import Path

import pytest

from headrace.cli import library
from headrace.cli.library import Examination, Totals, examine

SOURCE = """
class A:
    def one(self):
        def inner():
            return 1
        return inner

if True:
    async def two(): ...
else:
    try:
        def three(): ...
    except ValueError:
        def four(): ...
    finally:
        class B: ...

match 1:
    case 1:
        def five(): ...

with open("x") as x:
    for _ in x:
        while True:
            def six(): ...
"""


def test_examine(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    assert examine("a.py", tmp_path) == Examination(
        file="a.py",
        lines=SOURCE.count("\n"),
        classes=2,
        functions=7,
        longest="one",
        longest_lines=4,
    )


@pytest.mark.parametrize(
    ("source", "lines", "problem"),
    [
        (b"", 0, ""),
        (b"x = 1", 1, ""),
        (b"# coding: latin-1\nx = '\xe9'\n", 2, ""),
        (b"print 'old'\n", 1, "SyntaxError"),
        (b"# coding: nonsense\n", 1, "SyntaxError"),
        (b"x = '\xe9'\n", 1, "SyntaxError"),
        (b"x = 1\x00\n", 1, "Error"),
        (b"x = " + b"(" * 100_000, 1, "Error"),
        (b"x = '\\d'\n", 1, ""),
    ],
)
def test_odd_files(tmp_path: Path, source: bytes, lines: int, problem: str) -> None:
    (tmp_path / "a.py").write_bytes(source)
    found = examine("a.py", tmp_path)
    assert found.lines == lines
    assert problem in found.problem
    assert bool(found.problem) is bool(problem)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "FileNotFoundError" in examine("gone.py", tmp_path).problem


def test_the_collector_goes_on(tmp_path: Path) -> None:
    examine("gone.py", tmp_path)
    assert gc.isenabled()


def test_the_library_is_real() -> None:
    below = library.folder()
    files = library.files(below)
    assert len(files) > 500
    assert "ast.py" in files
    assert not any("site-packages" in file for file in files)
    for file in random.Random(1).sample(files, 5):
        found = examine(file, below)
        if not found.problem:
            assert (found.classes, found.functions) == _counted(below / file)


def _counted(file: Path) -> tuple[int, int]:
    """Count anew, by looking at every node there is."""
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (
        sum(isinstance(node, ast.ClassDef) for node in nodes),
        sum(isinstance(node, functions) for node in nodes),
    )


def test_files_leave_out_what_others_installed(tmp_path: Path) -> None:
    for name in ("b.py", "a/c.py", "site-packages/d.py", "a/dist-packages/e.py", "f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert library.files(tmp_path) == ["a/c.py", "b.py"]


def test_totals() -> None:
    found = [
        Examination(file="b", lines=2, classes=1, functions=2, longest="g", longest_lines=9),
        Examination(file="a", lines=3, classes=1, functions=1, longest="f", longest_lines=9),
        Examination(file="c", lines=1, problem="SyntaxError"),
    ]
    assert Totals.of(found) == Totals.of(found[::-1]) == Totals(
        files=3, modules=2, unparsed=1, lines=6, classes=2, functions=3,
        longest="f in a", longest_lines=9,
    )  # fmt: skip
    assert Totals.of([]).files == 0
