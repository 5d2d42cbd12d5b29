"""`headrace migrate` makes the schema, says from which version to which, or only looks."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from headrace.cli.exits import Exit
from headrace.engines.sqlite import database
from tests.postgresql import Place, postgresql, postgresql_place
from tests.unit.cli.conftest import Shop, Terminal

__all__ = ["postgresql", "postgresql_place"]

KNOWN = database.SCHEMA_VERSION


def test_a_file_is_made_and_told(terminal: Terminal) -> None:
    file = f"{terminal.folder}/shop.db"
    result = terminal("migrate", "--check")
    assert result.exit_code == Exit.FAILED
    assert result.stdout == f"{file}: schema 0, to be brought to {KNOWN}\n"
    assert list(terminal.folder.iterdir()) == []
    assert terminal.json("migrate") == {
        "location": file, "from": 0, "to": KNOWN, "known": KNOWN, "due": False
    }  # fmt: skip
    result = terminal("migrate", "--check")
    assert (result.exit_code, result.stdout) == (Exit.OK, f"{file}: schema {KNOWN} is up to date\n")


def test_a_file_in_use_is_brought_up_to_date(
    terminal: Terminal, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = shop.submit()
    step = terminal.folder / f"{KNOWN + 1:04}.sql"
    step.write_text("create table headrace_colour (name text)")
    monkeypatch.setattr(database, "_MIGRATIONS", [*database._MIGRATIONS, step])
    monkeypatch.setattr(database, "SCHEMA_VERSION", KNOWN + 1)
    assert terminal("migrate", "--check").exit_code == Exit.FAILED
    result = terminal("migrate")
    assert result.stdout == f"{terminal.folder}/shop.db: schema {KNOWN} brought to {KNOWN + 1}\n"
    assert shop.claim() == [job_id]


def test_a_newer_file_is_refused(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal("migrate")
    monkeypatch.setattr(database, "SCHEMA_VERSION", 0)
    result = terminal("migrate", "--check")
    assert result.exit_code == Exit.ENGINE
    assert "upgrade headrace" in result.stderr


@pytest.mark.parametrize("url", ["memory:", "redis://user:secret@127.0.0.1:1/0"])
def test_what_has_no_schema_says_so(terminal: Terminal, url: str) -> None:
    result = terminal("--url", url, "migrate")
    assert result.exit_code == Exit.OK
    assert "there is no schema, so nothing is to be done" in result.stdout
    assert "secret" not in result.stdout
    assert terminal.json("--url", url, "migrate", "--check")["due"] is False


@pytest.fixture
def url(postgresql: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the URL of a schema that is not there."""
    monkeypatch.setenv("HEADRACE_ALLOW_UNSAFE_SERVER", "true")
    name = f"{postgresql.schema}_new"
    yield f"{postgresql.server}?schema={name}"
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        connection.execute(f"drop schema if exists {name} cascade".encode())


def test_a_schema_is_made_and_told(terminal: Terminal, url: str) -> None:
    assert terminal("--url", url, "migrate", "--check").exit_code == Exit.FAILED
    made = terminal.json("--url", url, "migrate")
    assert (made["from"], made["to"], made["due"]) == (0, made["known"], False)
    assert terminal("--url", url, "migrate", "--check").exit_code == Exit.OK
