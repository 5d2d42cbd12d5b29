"""`headrace bench` measures both, beside the database of the settings, and cleans up."""

from __future__ import annotations

import pytest

from headrace.cli import bench
from headrace.cli.exits import Exit
from tests.unit.cli.conftest import Terminal


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_JOBS", 1000)
    monkeypatch.setattr(bench, "_SECONDS", 0.0)


def test_figures(terminal: Terminal) -> None:
    told = terminal.json("bench")
    assert told["durability"] == "crash"
    assert told["rounds"] == 1
    assert told["jobs_per_second"].keys() == {"submit", "drain", "raw_submit", "raw_drain"}
    assert all(rate > 0 for rate in told["jobs_per_second"].values())
    assert list(terminal.folder.iterdir()) == []


def test_durability_is_printed(terminal: Terminal) -> None:
    result = terminal("--config", "durability=power", "bench")
    assert result.exit_code == Exit.OK
    assert "durability=power on " in result.stdout
    assert "RAW SQLITE" in result.stdout


def test_no_place_to_measure(terminal: Terminal) -> None:
    result = terminal("--url", f"sqlite:///{terminal.folder}/nowhere/x.db", "bench")
    assert result.exit_code == Exit.USAGE
    assert "no folder" in result.stderr
