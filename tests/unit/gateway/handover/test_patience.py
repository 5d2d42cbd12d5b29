"""A client is kept waiting as long as it likes, and nobody waits for one that has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.requests import Request

from headrace.app import App
from headrace.gateway.desk import Desk
from headrace.gateway.door.doorkeeper import Doorkeeper
from headrace.gateway.gateway import Gateway
from headrace.gateway.handover.patience import finished
from headrace.record import Record, State
from tests.unit.gateway.arriving import GONE, arriving
from tests.unit.running import run_all


@pytest.fixture
def desk(app: App, gateway: Gateway) -> Desk:
    return Desk(app, gateway.settings, Doorkeeper(app, gateway.settings))


def patient(
    app: App, desk: Desk, request: Request, seconds: float, meanwhile: Coroutine[Any, Any, Any]
) -> Record | None:
    """Wait for a job of `add` while something else happens."""

    async def both() -> Record | None:
        (job,) = await app.asubmit([app.registry.get("add").call(left=1)])
        record, _ = await asyncio.gather(finished(request, desk, job.id, seconds), meanwhile)
        assert not (await app.aintake()).watcher._waiting
        assert desk.load.waiting == 0
        return record

    return asyncio.run(both())


async def nothing() -> None:
    pass


def test_a_job_that_ends_in_time_is_told(app: App, desk: Desk) -> None:
    record = patient(app, desk, arriving(), 30, asyncio.to_thread(run_all, app))
    assert record is not None
    assert record.state is State.SUCCEEDED


def test_one_that_does_not_is_not(app: App, desk: Desk) -> None:
    assert patient(app, desk, arriving(), 0.01, nothing()) is None


def test_a_client_that_leaves_frees_its_place(app: App, desk: Desk) -> None:
    assert patient(app, desk, arriving(GONE), 30, nothing()) is None


def test_where_too_many_wait_nobody_else_does(desk: Desk) -> None:
    desk.load.waiting = desk.settings.max_waiters

    async def main() -> Record | None:
        return await finished(arriving(), desk, "id", 30)

    assert asyncio.run(main()) is None
