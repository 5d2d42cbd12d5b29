"""Filters become a `Filter`, and find every job of many pages."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from headrace.cli import selection
from headrace.cli.selection import filters, find, paging, selects
from headrace.cli.storage import opened
from headrace.record import Filter, State
from tests.unit.cli.conftest import Shop


def test_options_become_a_filter() -> None:
    seen: list[Filter] = []

    @click.command()
    @filters(states=True)
    def command(where: Filter) -> None:
        seen.append(where)

    args = "--queue a --queue b --task t --tag x --tag y --cause expired --state dead"
    assert CliRunner().invoke(command, args.split()).exit_code == 0
    assert seen == [
        Filter(
            states=(State.DEAD,), queues=("a", "b"), tasks=("t",), tags=("x", "y"), cause="expired"
        )
    ]


def test_states_and_causes_are_known_words() -> None:
    @click.command()
    @filters()
    def command(where: Filter) -> None:
        """Never called."""

    assert CliRunner().invoke(command, ["--cause", "bad luck"]).exit_code == 2
    assert CliRunner().invoke(command, ["--state", "dead"]).exit_code == 2


def test_paging_has_limits() -> None:
    seen: list[object] = []

    @click.command()
    @paging
    def command(**given: object) -> None:
        seen.append(given)

    assert CliRunner().invoke(command, []).exit_code == 0
    assert seen == [{"limit": 50, "cursor": None, "as_json": False}]
    assert CliRunner().invoke(command, ["--limit", "0"]).exit_code == 2


def test_selects() -> None:
    assert not selects(Filter())
    assert selects(Filter(states=(State.DEAD,)))
    assert selects(Filter(tags=("art",)))


def test_find_goes_through_all_pages_oldest_first(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_PAGE", 3)
    ids = shop.submit(8)
    shop.submit(2, queue="other")
    with opened() as storage:
        assert find(storage, Filter(queues=("default",))) == ids
        assert find(storage, Filter(queues=("none",))) == []
