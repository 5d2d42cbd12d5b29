"""The project's own files as the style tests read them."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "headrace"

Function = ast.FunctionDef | ast.AsyncFunctionDef
_NOT_OURS = {".git", "__pycache__", "build", "dist"}


@dataclass(frozen=True)
class Source:
    """A Python file: its path below the folder it was read from, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))


def read(folder: Path) -> list[Source]:
    """Read every Python file below a folder."""
    return [
        Source(path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    ]


def package() -> list[Source]:
    """Read what users import."""
    return read(PACKAGE)


def everything() -> list[Source]:
    """Read every Python file that we wrote, tests and benchmarks included."""
    folders = (ROOT / name for name in ("src", "tests", "benchmarks", "examples"))
    return [
        Source(f"{folder.name}/{source.path}", source.text)
        for folder in folders
        for source in read(folder)
    ]


def tracked() -> list[Path]:
    """Name every file of the repository; without git, every file that is not hidden or built."""
    git = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if git.returncode == 0:
        found = [ROOT / name for name in git.stdout.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if _may_be_ours(path.relative_to(ROOT))]
    return [path for path in found if path.is_file()]


def _may_be_ours(path: Path) -> bool:
    return not any(part in _NOT_OURS or part.startswith((".venv", ".pins")) for part in path.parts)


def texts(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name and content of each text file; binary files are passed over."""
    for path in paths:
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
