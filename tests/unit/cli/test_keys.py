"""`headrace keys`: a key is shown once, and what is listed opens nothing."""

from __future__ import annotations

import pytest

from headrace.app import App
from headrace.cli.exits import Exit
from headrace.engine import Entry
from headrace.gateway.door.keys import Key, read, split
from headrace.write import Put
from tests.unit.cli.conftest import Terminal


def stored(terminal: Terminal) -> dict[str, Key]:
    """Return what the store has, by id."""
    assert terminal.folder.is_dir()
    with App() as app:
        found: tuple[Entry, ...] = app.engine.scan("key/").wait(5)
        return {key.id: key for key in map(read, found)}


def opens(key: Key, token: str, now: float) -> bool:
    """Tell whether a key opens to a token."""
    parts = split(token.strip())
    assert parts is not None
    assert parts[0] == key.id
    return key.opens(parts[1], now)


def test_create_prints_the_token_alone_and_makes_the_database(terminal: Terminal) -> None:
    result = terminal("keys", "create", "--name", "ci")
    assert result.exit_code == Exit.OK
    (key,) = stored(terminal).values()
    assert opens(key, result.stdout, key.created_at)
    assert (key.name, key.scopes) == ("ci", ("jobs:submit", "jobs:read", "jobs:write"))
    assert "not shown again" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_create_with_terms(terminal: Terminal) -> None:
    told = terminal.json(
        "keys", "create", "--scope", "jobs:submit", "--queue", "mail-*", "--queue", "pdf",
        "--tenant", "acme", "--expires", "90d", "--quota", "600/1m",
    )  # fmt: skip
    key = stored(terminal)[told["id"]]
    assert opens(key, told["token"], key.created_at)
    assert not opens(key, told["token"], key.created_at + 90 * 86_400)
    assert (key.queues, key.tenant) == (("mail-*", "pdf"), "acme")
    assert told["quota"] == {"requests": 600, "seconds": 60}
    assert told["state"] == "live"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--scope", "jobs:sumbit"], "jobs:sumbit"),
        (["--tenant", "acme", "--scope", "admin"], "cannot have admin"),
        (["--tenant", "a b"], "tenant name"),
        (["--queue", "a b"], "queue pattern"),
        (["--expires", "soon"], "no time such as 90d"),
        (["--quota", "3"], "no quota such as 600/1m"),
        (["--quota", "0/1m"], "no quota"),
        (["--quota", "many/1m"], "no quota"),
    ],
)
def test_terms_that_make_no_sense(terminal: Terminal, options: list[str], complaint: str) -> None:
    result = terminal("keys", "create", *options)
    assert result.exit_code == Exit.USAGE
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_list(terminal: Terminal) -> None:
    first = terminal.json("keys", "create", "--name", "first")
    second = terminal.json("keys", "create", "--expires", "0s")
    third = terminal.json("keys", "create", "--tenant", "acme", "--quota", "5/10s")
    terminal("keys", "revoke", first["id"])
    terminal("keys", "rotate", third["id"])
    with App() as app:
        app.engine.apply(Put(f"key-use/{third['id']}", b"1767225600")).wait(5)
    listed = terminal.json("keys", "list")["keys"]
    assert [key["id"] for key in listed] == [first["id"], second["id"], third["id"]]
    assert [key["state"] for key in listed] == ["revoked", "expired", "rotating"]
    assert listed[2]["used_at"] == "2026-01-01T00:00:00.000Z"
    shown = terminal("keys", "list").stdout
    assert "5/10s" in shown
    for key in (first, second, third):
        assert key["token"].split("_")[2] not in shown


def test_rotate(terminal: Terminal) -> None:
    old = terminal.json("keys", "create")
    new = terminal.json("keys", "rotate", old["id"], "--grace", "1h")
    key = stored(terminal)[old["id"]]
    now = key.former_until - 3600
    assert opens(key, new["token"], now + 10_000)
    assert opens(key, old["token"], now + 3599)
    assert not opens(key, old["token"], now + 3601)


def test_revoke(terminal: Terminal) -> None:
    tokens = [terminal.json("keys", "create") for _ in range(2)]
    result = terminal("keys", "revoke", *(told["id"] for told in tokens))
    assert result.stdout.count(" revoked\n") == 2
    for told in tokens:
        key = stored(terminal)[told["id"]]
        assert not opens(key, told["token"], key.created_at)


@pytest.mark.parametrize("verb", ["revoke", "rotate"])
def test_an_unknown_key(terminal: Terminal, verb: str) -> None:
    told = terminal.json("keys", "create")
    for unknown in ("nothing", told["id"][:-1]):  # the beginning of an id is none
        result = terminal("keys", verb, unknown)
        assert result.exit_code == Exit.NOT_FOUND
        assert "there is no key" in result.stderr
    assert stored(terminal)[told["id"]].revoked_at is None


def test_looking_makes_no_database(terminal: Terminal) -> None:
    assert terminal("keys", "list").exit_code == Exit.NOT_FOUND
    assert list(terminal.folder.iterdir()) == []
