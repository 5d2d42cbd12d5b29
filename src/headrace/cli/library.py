"""Library: the Python files of the standard library, and what is in them: the demo's real input."""

from __future__ import annotations

import ast
import gc
import os
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

_FOREIGN = {"site-packages", "dist-packages"}
_INSIDE = ("body", "orelse", "finalbody", "handlers", "cases")
_PROBLEM_LENGTH = 200


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What one file contains.

    Attributes:
        file: its path below the library's folder.
        lines: how many it has.
        classes: how many it defines.
        functions: how many it defines, methods and nested ones included.
        longest: name of its longest function.
        longest_lines: how many lines that has.
        problem: why it cannot be read or parsed; it is then counted as a file, with its lines.
    """

    file: str
    lines: int = 0
    classes: int = 0
    functions: int = 0
    longest: str = ""
    longest_lines: int = 0
    problem: str = ""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What many files contain; `modules` are those that could be parsed."""

    files: int
    modules: int
    unparsed: int
    lines: int
    classes: int
    functions: int
    longest: str
    longest_lines: int

    @classmethod
    def of(cls, examinations: Iterable[Examination]) -> Totals:
        """Add up; of two longest functions the one of the first file by name counts."""
        found = sorted(examinations, key=lambda e: e.file)
        longest = max(found, key=lambda e: e.longest_lines, default=Examination(file=""))
        return cls(
            files=len(found),
            modules=sum(not e.problem for e in found),
            unparsed=sum(bool(e.problem) for e in found),
            lines=sum(e.lines for e in found),
            classes=sum(e.classes for e in found),
            functions=sum(e.functions for e in found),
            longest=f"{longest.longest} in {longest.file}",
            longest_lines=longest.longest_lines,
        )


def folder() -> Path:
    """Return where the running interpreter's standard library is."""
    return Path(sysconfig.get_path("stdlib"))


def files(below: Path) -> list[str]:
    """Return the paths of all Python files below a folder, without what others installed there."""
    found: list[str] = []
    for directory, inside, names in os.walk(below):
        inside[:] = [name for name in inside if name not in _FOREIGN]
        found += [
            (Path(directory) / name).relative_to(below).as_posix()
            for name in names
            if name.endswith(".py")
        ]
    return sorted(found)


def examine(file: str, below: Path) -> Examination:
    """Parse a file of the library and say what is in it; one that cannot be parsed says why."""
    source = b""
    try:
        source = (below / file).read_bytes()
        tree = _parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        problem = f"{type(error).__name__}: {error}"[:_PROBLEM_LENGTH]
        return Examination(file=file, lines=_lines(source), problem=problem)
    classes, functions, longest, longest_lines = 0, 0, "", 0
    for statement in _statements(tree):
        if isinstance(statement, ast.ClassDef):
            classes += 1
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            functions += 1
            length = (statement.end_lineno or statement.lineno) - statement.lineno + 1
            if length > longest_lines:
                longest, longest_lines = statement.name, length
    return Examination(
        file=file,
        lines=_lines(source),
        classes=classes,
        functions=functions,
        longest=longest,
        longest_lines=longest_lines,
    )


def _lines(source: bytes) -> int:
    return source.count(b"\n") + (not source.endswith(b"\n") and bool(source))


def _parse(source: bytes) -> ast.Module:
    # A syntax tree has no cycles: the collector would walk it again and again while it grows, which
    # takes as long as half the parsing.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files have old habits; they are not ours
            return ast.parse(source)
    finally:
        if collecting:
            gc.enable()


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every statement, outer ones first; definitions are nowhere else."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for name in reversed(_INSIDE):
            waiting.extend(reversed(getattr(node, name, None) or ()))
        yield node
