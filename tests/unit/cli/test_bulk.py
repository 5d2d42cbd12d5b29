"""A change of many jobs is counted, confirmed, done in pages, and reported to the last job."""

from __future__ import annotations

from typing import Any

import click
import pytest

from headrace.cli import bulk
from headrace.cli.exits import Exit
from headrace.record import State
from headrace.write import CancelJobs
from tests.unit.cli.conftest import Shop, Terminal


def test_filters_need_an_answer(terminal: Terminal, shop: Shop) -> None:
    ids = shop.submit(3)
    result = terminal("jobs", "cancel", "--task", "paint")
    assert result.exit_code == Exit.USAGE
    assert "cancel 3 jobs? Nobody can answer: add --yes" in result.stderr
    assert all(shop.state(job_id) is State.READY for job_id in ids)


@pytest.mark.parametrize(("answer", "state"), [("n\n", State.READY), ("y\n", State.CANCELLED)])
def test_the_answer_counts(
    terminal: Terminal, shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: str, state: State
) -> None:
    (job_id,) = shop.submit()
    monkeypatch.setattr(bulk, "_can_answer", lambda: True)
    result = terminal("jobs", "cancel", "--all", answer=answer)
    assert result.exit_code == Exit.OK
    assert "cancel 1 job?" in result.stderr
    assert shop.state(job_id) is state


def test_yes_needs_no_answer(terminal: Terminal, shop: Shop) -> None:
    ids = shop.submit(3)
    result = terminal("jobs", "cancel", "--all", "--yes")
    assert (result.exit_code, result.stdout) == (Exit.OK, "3 jobs cancelled\n")
    assert all(shop.state(job_id) is State.CANCELLED for job_id in ids)


@pytest.mark.parametrize("args", [[], ["an-id", "--all"], ["an-id", "--queue", "default"]])
def test_ids_or_a_filter(terminal: Terminal, shop: Shop, args: list[str]) -> None:
    shop.submit()
    result = terminal("jobs", "cancel", *args, "--yes")
    assert result.exit_code == Exit.USAGE
    assert "cancel which jobs?" in result.stderr


def test_nothing_found(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    result = terminal("jobs", "cancel", "--queue", "other")
    assert (result.exit_code, result.stdout) == (Exit.OK, "no job to cancel\n")


def test_pages_cover_all(terminal: Terminal, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PAGE", 2)
    shop.submit(5)
    assert terminal.json("jobs", "cancel", "--all", "--yes") == {
        "changed": {"cancelled": 5},
        "left": {},
        "missing": [],
        "not_reached": 0,
    }


def test_named_jobs_that_cannot_be_changed(terminal: Terminal, shop: Shop) -> None:
    (done,) = shop.end(to=State.SUCCEEDED)
    (ready,) = shop.submit()
    result = terminal("jobs", "cancel", done, ready)
    assert result.exit_code == Exit.REFUSED
    assert result.stdout == "1 job cancelled\n"
    assert f"{done} left alone: it is succeeded" in result.stderr


def test_named_jobs_that_are_not_there(terminal: Terminal, shop: Shop) -> None:
    (ready,) = shop.submit()
    result = terminal("jobs", "cancel", "no-such\x1b[31m", ready)
    assert result.exit_code == Exit.NOT_FOUND
    assert "no job no-such\\x1b[31m" in result.stderr
    assert shop.state(ready) is State.CANCELLED


def test_a_running_job_is_asked(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    (job_id,) = shop.claim()
    result = terminal("jobs", "cancel", job_id)
    assert (result.exit_code, result.stdout) == (
        Exit.OK,
        "1 job asked to cancel, still running\n",
    )


def test_what_moved_on_meanwhile_is_left_alone(
    terminal: Terminal, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = shop.end()

    def answer(*_: object, **__: object) -> bool:
        assert terminal("jobs", "retry", job_id).exit_code == Exit.OK
        return True

    monkeypatch.setattr(bulk, "_can_answer", lambda: True)
    monkeypatch.setattr(click, "confirm", answer)
    result = terminal("dead", "purge", "--all")
    assert result.exit_code == Exit.OK
    assert f"{job_id} left alone: it is ready" in result.stderr
    assert shop.state(job_id) is State.READY


def test_interruption_reports_what_was_done(
    terminal: Terminal, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAGE", 2)
    ids = shop.submit(5)
    written: list[Any] = []

    def write(page: tuple[str, ...], reason: str) -> CancelJobs:
        written.append(page)
        if len(written) == 2:
            raise KeyboardInterrupt
        return CancelJobs(page, reason)

    monkeypatch.setattr("headrace.cli.jobs.CancelJobs", write)
    result = terminal("jobs", "cancel", "--all", "--yes")
    assert result.exit_code == Exit.INTERRUPTED
    assert result.stdout.startswith("2 jobs cancelled\n")
    assert "3 jobs not reached" in result.stderr
    assert [shop.state(job_id) for job_id in ids].count(State.CANCELLED) == 2


def test_one_refused_job_does_not_hold_the_others(terminal: Terminal, shop: Shop) -> None:
    (keyed,) = shop.submit(unique_key="k")
    (other,) = shop.submit()
    for job_id in (keyed, other):
        terminal("jobs", "cancel", job_id)
    dead = [*shop.end(), *_dead_with_key(shop)]
    shop.submit(unique_key="key")
    result = terminal("dead", "redrive", "--all", "--yes")
    assert result.exit_code == Exit.REFUSED
    assert result.stdout == "1 job ready again\n"
    assert "unique key 'key'" in result.stderr
    assert [shop.state(job_id) for job_id in dead] == [State.READY, State.DEAD]


def _dead_with_key(shop: Shop) -> list[str]:
    paint = shop.paint
    keyed = Shop(shop.app, paint.using(unique_key="key"))
    return keyed.end()
