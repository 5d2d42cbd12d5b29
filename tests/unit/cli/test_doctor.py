"""`headrace doctor` prints what it read back, and the guarantee that holds."""

from __future__ import annotations

from headrace.cli.exits import Exit
from tests.unit.cli.conftest import Shop, Terminal


def test_doctor_reads_back(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    found = terminal.json("doctor")
    assert found["settings"]["durability"] == "crash"
    assert found["location"].endswith("shop.db")
    assert found["versions"].keys() == {"headrace", "python", "system"}
    assert found["config"]["ballast"] == 0
    assert "url" not in found["config"]  # one day it may hold a password
    result = terminal("doctor")
    for text in (*found["guarantee"], *found["guarantee"].values(), "write-ahead log"):
        assert text in result.stdout


def test_doctor_makes_nothing(terminal: Terminal) -> None:
    assert terminal("doctor").exit_code == Exit.NOT_FOUND
    assert list(terminal.folder.iterdir()) == []


def test_a_foreign_file_is_one_line(terminal: Terminal) -> None:
    (terminal.folder / "shop.db").write_text("poetry " * 1000)
    result = terminal("doctor")
    assert result.exit_code == Exit.ENGINE
    assert result.stderr.count("\n") == 1
