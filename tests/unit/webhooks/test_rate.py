"""Turns come at intervals, and nobody has one that is another's."""

from __future__ import annotations

import asyncio

import pytest

from headrace.app import App
from headrace.webhooks.rate import take


def test_turns_come_at_intervals(app: App) -> None:
    engine = app.engine

    async def story() -> None:
        assert await take(engine, "ep", 2.0, 100.0, 30.0) == 0.0
        assert await take(engine, "ep", 2.0, 100.1, 30.0) == pytest.approx(0.4)
        assert await take(engine, "other", 2.0, 100.1, 30.0) == 0.0
        assert await take(engine, "ep", 2.0, 100.5, 30.0) == 0.0

    asyncio.run(story())


def test_of_rivals_one_has_the_turn(app: App) -> None:
    engine = app.engine

    async def story() -> None:
        waits = await asyncio.gather(*(take(engine, "ep", 0.5, 100.0, 30.0) for _ in range(20)))
        assert waits.count(0.0) == 1
        assert all(0.0 < wait <= 2.0 for wait in waits if wait)

    asyncio.run(story())
