"""Guests know the database of their engine, and find their queues there."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.testing.steps import depth, message, send
from headrace.write import Send
from tests.postgresql import Place

WAIT = 10


def test_it_is_asked_once(engine: PostgreSQLEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    home = engine._home
    place = home.place(("a", "b")).wait(WAIT)
    assert place.database > 0
    assert place.started > 0
    written: list[object] = []
    own = home._write

    def write(plan: Any) -> Any:
        written.append(plan)
        return own(plan)

    monkeypatch.setattr(home, "_write", write)
    assert home.place(("b",)).wait(0) == place
    assert written == []
    assert home.place(("c",)).wait(WAIT) == place
    assert home.place(anew=True).wait(WAIT) == place
    assert len(written) == 2


def test_nobody_waits_for_a_queue_that_a_guest_uses_first(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine, postgresql: Place
) -> None:
    with psycopg.connect(postgresql.server) as connection:
        write = Send((message("a", queue="new"),))
        engine.apply(write, engine.adopt(connection)).wait(WAIT)
        send(rival, "b", queue="new")
        assert depth(rival, "new").depth == 1
        connection.commit()
    assert depth(rival, "new").depth == 2
