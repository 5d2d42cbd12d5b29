"""`headrace jobs`: lists with cursors, pages with everything, waits with an exit code."""

from __future__ import annotations

import msgspec
import pytest

from headrace.cli.exits import Exit
from headrace.job import Progress, progress_key
from headrace.record import State
from headrace.write import Put
from tests.unit.cli.conftest import Shop, Terminal


def test_list_is_paged_by_cursors(terminal: Terminal, shop: Shop) -> None:
    ids = shop.submit(5)
    seen: list[str] = []
    cursor: list[str] = []
    for _ in range(3):
        page = terminal.json("jobs", "list", "--limit", "2", *cursor)
        seen += [job["id"] for job in page["jobs"]]
        cursor = ["--cursor", page["cursor"]]
    assert seen == ids[::-1]
    assert page["cursor"] is None


def test_list_shows_whole_ids_and_the_cursor(terminal: Terminal, shop: Shop) -> None:
    ids = shop.submit(3)
    result = terminal("jobs", "list", "--limit", "2")
    assert result.stdout.splitlines()[0].split()[:4] == ["ID", "STATE", "TASK", "QUEUE"]
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ids[:0:-1]
    assert "--cursor" in result.stderr


def test_list_filters(terminal: Terminal, shop: Shop) -> None:
    (dead,) = shop.end(cause="expired")
    shop.submit()
    (other,) = shop.submit(queue="other", tags=["blue"])

    def found(*args: str) -> list[str]:
        return [job["id"] for job in terminal.json("jobs", "list", *args)["jobs"]]

    assert found("--queue", "other") == [other]
    assert found("--tag", "blue") == [other]
    assert found("--state", "dead") == [dead]
    assert found("--cause", "expired") == [dead]
    assert found("--task", "none") == []


def test_a_wrong_cursor(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    result = terminal("jobs", "list", "--cursor", "x")
    assert result.exit_code == Exit.USAGE
    assert "cursor 'x'" in result.stderr


def test_show(terminal: Terminal, shop: Shop) -> None:
    (job_id,) = shop.end(message="why \x1b[31m", traceback="Traceback\n  here", logs=("last",))
    shop.app.engine.apply(Put(progress_key(job_id), msgspec.json.encode(Progress(1, 2)))).wait(5)
    result = terminal("jobs", "show", job_id)
    assert result.exit_code == Exit.OK
    for word in (job_id, "why \\x1b[31m", "Traceback", "last", "1 of 2"):
        assert word in result.stdout
    (shown,) = terminal.json("jobs", "show", job_id)["jobs"]
    assert shown["progress"] == {"done": 1, "total": 2, "note": ""}
    assert shown["failure"]["logs"] == ["last"]


def test_show_says_which_are_missing(terminal: Terminal, shop: Shop) -> None:
    (job_id,) = shop.submit()
    result = terminal("jobs", "show", "nope", job_id)
    assert result.exit_code == Exit.NOT_FOUND
    assert "no job nope" in result.stderr
    assert job_id in result.stdout


@pytest.mark.parametrize(
    ("to", "code"),
    [
        (State.SUCCEEDED, Exit.OK),
        (State.DEAD, Exit.FAILED),
        (State.CANCELLED, Exit.FAILED),
    ],
)
def test_wait_tells_the_end(terminal: Terminal, shop: Shop, to: State, code: Exit) -> None:
    (job_id,) = shop.end(to=to)
    result = terminal("jobs", "wait", job_id)
    assert result.exit_code == code
    assert to in result.stdout


def test_wait_times_out(terminal: Terminal, shop: Shop) -> None:
    (done,) = shop.end(to=State.SUCCEEDED)
    (ready,) = shop.submit()
    result = terminal("jobs", "wait", done, ready, "--timeout", "0.1")
    assert result.exit_code == Exit.TIMEOUT
    assert "1 not finished" in result.stderr
    assert ready in result.stdout


def test_wait_for_none(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    assert terminal("jobs", "wait", "nope").exit_code == Exit.NOT_FOUND


def test_retry_makes_due_and_redrives(terminal: Terminal, shop: Shop) -> None:
    (later,) = shop.submit(delay=1000)
    (dead,) = shop.end()
    result = terminal("jobs", "retry", later, dead)
    assert (result.exit_code, result.stdout) == (Exit.OK, "2 jobs ready\n")
    assert shop.state(later) is shop.state(dead) is State.READY


def test_cancel_keeps_the_reason(terminal: Terminal, shop: Shop) -> None:
    (job_id,) = shop.submit()
    assert terminal("jobs", "cancel", job_id, "--reason", "not wanted").exit_code == Exit.OK
    (shown,) = terminal.json("jobs", "show", job_id)["jobs"]
    assert shown["failure"]["message"] == "not wanted"


def test_cancel_by_state(terminal: Terminal, shop: Shop) -> None:
    (ready,) = shop.submit()
    (later,) = shop.submit(delay=100)
    result = terminal("jobs", "cancel", "--state", "scheduled", "--yes")
    assert (result.exit_code, result.stdout) == (Exit.OK, "1 job cancelled\n")
    assert shop.state(ready) is State.READY
    assert shop.state(later) is State.CANCELLED


def test_cancel_of_finished_states_is_refused(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    assert terminal("jobs", "cancel", "--all", "--state", "dead").exit_code == Exit.USAGE
