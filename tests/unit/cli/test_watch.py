"""A change of a program's files is told when they rest again, and only then."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from headrace.cli.watch import Watch


class Told:
    """Counts what a watch tells."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self.once = threading.Event()
        self.watch = Watch(folder, self._count, lambda: 0.5)

    def _count(self) -> None:
        self.count += 1
        self.once.set()

    def look(self, times: int = 2) -> int:
        """Look some times, and return how often it was told since."""
        before = self.count
        for _ in range(times):
            self.watch.look()
        return self.count - before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text("x = 1\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "part.py").write_text("y = 1\n")
    return tmp_path


def test_nothing_has_happened(folder: Path) -> None:
    assert Told(folder).look(3) == 0


@pytest.mark.parametrize("name", ["shop.py", "inner/part.py", "new.py", "pyproject.toml"])
def test_a_change_is_told_once(folder: Path, name: str) -> None:
    told = Told(folder)
    (folder / name).write_text("x = 22\n")
    assert told.look(1) == 0  # it may go on
    assert told.look(1) == 1
    assert told.look(3) == 0


def test_a_file_that_goes_is_a_change(folder: Path) -> None:
    told = Told(folder)
    (folder / "inner" / "part.py").unlink()
    assert told.look() == 1


def test_what_still_moves_is_waited_for(folder: Path) -> None:
    told = Told(folder)
    for number in range(3):
        (folder / "shop.py").write_text("x" * (number + 10))
        assert told.look(1) == 0
    assert told.look(1) == 1


@pytest.mark.parametrize(
    "name", ["notes.txt", ".git/hook.py", "__pycache__/shop.py", "node_modules/a.py"]
)
def test_what_is_not_the_program_is_passed_over(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    told = Told(folder)
    (folder / name).write_text("x")
    assert told.look() == 0


def test_a_virtual_environment_is_passed_over(folder: Path) -> None:
    (folder / "env" / "lib").mkdir(parents=True)
    (folder / "env" / "pyvenv.cfg").write_text("")
    told = Told(folder)
    (folder / "env" / "lib" / "a.py").write_text("x")
    assert told.look() == 0


def test_it_looks_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.cli.watch.LOOK_SECONDS", 0.01)
    told = Told(folder)
    told.watch.start()
    try:
        (folder / "shop.py").write_text("x = 22\n")
        assert told.once.wait(30)
    finally:
        told.watch.stop()
