"""What became of others' transactions is seen soon, and not looked for for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psycopg
import pytest

from headrace.engine import Topic
from headrace.engines.postgresql.commits import Commits
from headrace.engines.postgresql.link import Link
from headrace.errors import EngineBusy
from headrace.reply import Reply
from tests.faults.processes import until
from tests.postgresql import Place

HALF = 0.5


@pytest.fixture
def hints() -> list[set[Topic]]:
    """Give what was hinted at."""
    return []


@pytest.fixture
def commits(link: Link, hints: list[set[Topic]]) -> Iterator[Commits]:
    """Give what looks on a connection of its own."""

    def hint(topics: Iterable[Topic]) -> None:
        hints.append(set(topics))

    def look(what: Callable[[Link], Any]) -> Reply[Any]:
        return Reply.of(what(link))

    commits = Commits(look, hint, lambda: HALF, deadline=5)
    yield commits
    commits.close()


def number_of(connection: psycopg.Connection[Any]) -> str:
    """Return the number of the transaction that is open."""
    row = connection.execute("select pg_current_xact_id()::text").fetchone()
    assert row is not None
    return str(row[0])


def test_a_commit_is_hinted_at_and_a_rollback_is_not(
    commits: Commits, hints: list[set[Topic]], postgresql: Place
) -> None:
    with (
        psycopg.connect(postgresql.server) as undone,
        psycopg.connect(postgresql.server) as done,
        psycopg.connect(postgresql.server) as still_open,
    ):
        numbers = [number_of(connection) for connection in (undone, done, still_open)]
        commits.expect(numbers[0], ("stored",))
        commits.expect(numbers[1], ("ready",))
        commits.expect(numbers[1], ("finished",))
        commits.expect(numbers[2], ("cancel",))
        undone.rollback()
        done.commit()
        until(lambda: len(commits._open) == 1, "two of three to have ended", 10, show=str)
        assert list(commits._open) == [numbers[2]]
    assert hints[0] == {"ready", "finished"}


def test_a_transaction_is_not_looked_for_for_ever(
    commits: Commits, hints: list[set[Topic]], postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.engines.postgresql.commits._GIVE_UP_PAUSE", 0.02)
    with psycopg.connect(postgresql.server) as connection:
        commits.expect(number_of(connection), ("ready",))
        until(lambda: not commits._open, "it to give up", 10, show=str)
    assert hints == []


def test_a_look_that_fails_is_repeated(hints: list[set[Topic]]) -> None:
    answers = [Reply.failed(EngineBusy("away")), Reply.of([("7", "committed")])]
    commits = Commits(
        lambda _: answers.pop(0), lambda topics: hints.append(set(topics)), lambda: HALF, 5
    )
    commits.expect("7", ("ready",))
    until(lambda: hints == [{"ready"}], "the hint", 10, show=str)
    commits.close()
