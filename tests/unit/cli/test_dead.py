"""`headrace dead`: dead letters are listed with their cause, put back, or deleted."""

from __future__ import annotations

from headrace.cli.exits import Exit
from headrace.record import State
from tests.unit.cli.conftest import Shop, Terminal


def test_list_has_only_dead_ones(terminal: Terminal, shop: Shop) -> None:
    (dead,) = shop.end(cause="rejected", type="ValueError", message="no cat")
    shop.end(to=State.SUCCEEDED)
    shop.submit()
    result = terminal("dead", "list")
    assert len(result.stdout.splitlines()) == 2
    assert "rejected: ValueError: no cat" in result.stdout
    assert [job["id"] for job in terminal.json("dead", "list")["jobs"]] == [dead]


def test_show(terminal: Terminal, shop: Shop) -> None:
    (dead,) = shop.end(traceback="Traceback\n  boom")
    assert "  boom" in terminal("dead", "show", dead).stdout
    assert terminal("dead", "show", "nope").exit_code == Exit.NOT_FOUND


def test_redrive(terminal: Terminal, shop: Shop) -> None:
    (dead,) = shop.end(cause="rejected")
    (other,) = shop.end(cause="expired")
    result = terminal("dead", "redrive", "--cause", "rejected", "--yes")
    assert (result.exit_code, result.stdout) == (Exit.OK, "1 job ready again\n")
    assert shop.state(dead) is State.READY
    assert shop.state(other) is State.DEAD


def test_purge_deletes(terminal: Terminal, shop: Shop) -> None:
    ids = shop.end(3)
    (done,) = shop.end(to=State.SUCCEEDED)
    result = terminal("dead", "purge", "--all", "--yes")
    assert (result.exit_code, result.stdout) == (Exit.OK, "3 jobs deleted\n")
    assert [shop.state(job_id) for job_id in ids] == [None] * 3
    assert shop.state(done) is State.SUCCEEDED


def test_only_dead_ones_are_touched_by_id(terminal: Terminal, shop: Shop) -> None:
    (ready,) = shop.submit()
    assert terminal("dead", "purge", ready).exit_code == Exit.REFUSED
    assert shop.state(ready) is State.READY
