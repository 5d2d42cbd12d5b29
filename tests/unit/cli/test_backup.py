"""`headrace backup` makes a copy that opens, and never overwrites."""

from __future__ import annotations

from headrace.cli.exits import Exit
from tests.unit.cli.conftest import Shop, Terminal


def test_backup_holds_the_jobs(terminal: Terminal, shop: Shop) -> None:
    (job_id,) = shop.submit()
    result = terminal("backup", "copy.db")
    assert result.exit_code == Exit.OK
    assert result.stdout.startswith("copy.db: ")
    page = terminal.json("--url", "sqlite:///copy.db", "jobs", "list")
    assert [job["id"] for job in page["jobs"]] == [job_id]


def test_backup_never_overwrites(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    (terminal.folder / "precious.txt").write_text("mine")
    result = terminal("backup", "precious.txt")
    assert result.exit_code == Exit.USAGE
    assert "exists" in result.stderr
    assert (terminal.folder / "precious.txt").read_text() == "mine"
