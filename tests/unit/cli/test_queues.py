"""`headrace queues`: what waits, pausing, and ending all that waits."""

from __future__ import annotations

from headrace.cli.exits import Exit
from headrace.record import QueueLimits, State
from headrace.write import LimitQueue
from tests.unit.cli.conftest import Shop, Terminal


def test_list(terminal: Terminal, shop: Shop) -> None:
    shop.submit(2)
    shop.submit(delay=100)
    shop.claim()
    limits = QueueLimits(max_depth=9, max_bytes=2048)
    shop.app.engine.apply(LimitQueue("default", limits)).wait(5)
    (queue,) = terminal.json("queues", "list")["queues"]
    assert queue["queue"] == "default"
    assert (queue["ready"], queue["scheduled"], queue["running"]) == (1, 1, 1)
    assert 99 <= queue["due_in"] <= 100
    assert "9 jobs, 2.0 KiB" in terminal("queues", "list").stdout


def test_list_is_paged_by_name(terminal: Terminal, shop: Shop) -> None:
    for name in ("c", "a", "b"):
        shop.submit(queue=name)
    page = terminal.json("queues", "list", "--limit", "2")
    assert [queue["queue"] for queue in page["queues"]] == ["a", "b"]
    rest = terminal.json("queues", "list", "--cursor", page["cursor"])
    assert [queue["queue"] for queue in rest["queues"]] == ["c"]
    assert rest["cursor"] is None
    assert "--cursor b" in terminal("queues", "list", "--limit", "2").stderr


def test_pause_and_resume(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    assert terminal("queues", "pause", "default").stdout == "queue default paused\n"
    assert terminal.json("queues", "list")["queues"][0]["paused"] is True
    assert shop.claim() == []
    assert terminal("queues", "resume", "default").exit_code == Exit.OK
    assert len(shop.claim()) == 1


def test_pausing_an_unknown_queue_is_told(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    result = terminal("queues", "pause", "defualt")
    assert result.exit_code == Exit.OK
    assert "defualt was not known before" in result.stderr


def test_a_wrong_name_changes_nothing(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    assert terminal("queues", "pause", "default", "no name").exit_code == Exit.USAGE
    assert terminal.json("queues", "list")["queues"][0]["paused"] is False


def test_purge_ends_what_waits_and_nothing_else(terminal: Terminal, shop: Shop) -> None:
    shop.submit(2)
    (running,) = shop.claim()
    (later,) = shop.submit(delay=100)
    (other,) = shop.submit(queue="other")
    assert terminal("queues", "purge", "default").exit_code == Exit.USAGE
    result = terminal("queues", "purge", "default", "--yes")
    assert (result.exit_code, result.stdout) == (Exit.OK, "2 jobs ended as cancelled\n")
    assert shop.state(running) is State.RUNNING
    assert shop.state(later) is State.CANCELLED
    assert shop.state(other) is State.READY
    (shown,) = terminal.json("jobs", "show", later)["jobs"]
    assert shown["failure"]["cause"] == "purged"
