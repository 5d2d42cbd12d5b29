"""`headrace move` moves everything, tells what, and says how it ended."""

from __future__ import annotations

import json

import pytest

from headrace.cli.exits import Exit
from headrace.record import State
from tests.unit.cli.conftest import Shop, Terminal


def url(terminal: Terminal, name: str) -> str:
    return f"sqlite:///{terminal.folder}/{name}.db"


def test_move_moves_everything(terminal: Terminal, shop: Shop) -> None:
    (waiting,) = shop.submit()
    terminal("queues", "pause", "default")
    found = terminal.json("move", "--from", url(terminal, "shop"), "--to", url(terminal, "new"))
    assert found == {
        "from": f"{terminal.folder}/shop.db",
        "to": f"{terminal.folder}/new.db",
        "jobs": 1,
        "entries": 0,
        "ended": [],
        "left": {},
        "done": True,
    }
    assert shop.state(waiting) is None
    (queue,) = terminal.json("--url", url(terminal, "new"), "queues", "list")["queues"]
    assert (queue["ready"], queue["paused"]) == (1, True)


def test_move_says_what_still_runs(terminal: Terminal, shop: Shop) -> None:
    shop.submit(2)
    shop.claim()
    where = ("--from", url(terminal, "shop"), "--to", url(terminal, "new"), "--wait", "0")
    result = terminal("move", *where)
    assert result.exit_code == Exit.TIMEOUT
    assert result.stdout == f"1 jobs and 0 entries moved to {terminal.folder}/new.db\n"
    assert "1 running; run it again" in result.stderr
    result = terminal("move", *where, "--json")
    assert result.exit_code == Exit.TIMEOUT
    assert json.loads(result.stdout)["left"] == {"running": 1}


def test_move_names_those_that_yielded(terminal: Terminal, shop: Shop) -> None:
    where = ("--from", url(terminal, "shop"), "--to", url(terminal, "new"))
    shop.submit(unique_key="k")
    terminal("move", *where)
    (late,) = shop.submit(unique_key="k")
    result = terminal("move", *where)
    assert result.exit_code == Exit.OK
    assert f"job {late} is a dead letter" in result.stderr
    listed = terminal.json("--url", url(terminal, "new"), "dead", "list")
    assert [job["failure"]["cause"] for job in listed["jobs"]] == ["replaced"]


@pytest.mark.parametrize(
    ("source", "target", "code", "words"),
    [
        ("sqlite:///shop.db", "sqlite:///./shop.db", Exit.USAGE, "the same place"),
        ("sqlite:///shop.db", "nosql://user:secret@host", Exit.USAGE, "no engine is called"),
        ("sqlite:///shop.db", "memory:", Exit.USAGE, "one process only"),
        ("memory:", "sqlite:///new.db", Exit.USAGE, "one process only"),
        ("sqlite:///none.db", "sqlite:///new.db", Exit.NOT_FOUND, "there is no database"),
        ("sqlite:///shop.db", "sqlite:///copy.db", Exit.USAGE, "copy of the other"),
        ("sqlite:///shop.db", "sqlite:///text.txt", Exit.ENGINE, "text.txt"),
    ],
)
def test_move_refuses_nonsense(
    terminal: Terminal, shop: Shop, source: str, target: str, code: Exit, words: str
) -> None:
    (job_id,) = shop.submit()
    terminal("backup", "copy.db")
    (terminal.folder / "text.txt").write_text("this is no database" * 100)
    result = terminal("move", "--from", source, "--to", target)
    assert result.exit_code == code
    assert words in result.stderr
    assert "secret" not in result.stderr
    assert shop.state(job_id) is State.READY


def test_move_tells_what_it_did_before_an_error(
    terminal: Terminal, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.submit(3)
    monkeypatch.setattr("headrace.mover._JOBS", 1)
    where = ("--from", url(terminal, "shop"), "--to", url(terminal, "new"))
    from headrace.mover import Mover, Step  # noqa: PLC0415 - to break it

    step, steps = Mover.step, [0]

    def breaks(self: Mover) -> Step | None:
        steps[0] += 1
        if steps[0] == 3:
            raise OSError("the network is down")
        return step(self)

    monkeypatch.setattr(Mover, "step", breaks)
    result = terminal("move", *where, "--json")
    assert result.exit_code == Exit.ENGINE
    found = json.loads(result.stdout)
    assert (found["jobs"], found["left"], found["done"]) == (2, None, False)
