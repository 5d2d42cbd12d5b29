"""The desk knows who asks, what it may do, and how often."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import HTTPConnection

from headrace.app import App
from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk, permit
from headrace.gateway.door.guard import FIELDS
from headrace.gateway.problem import Problem
from headrace.gateway.quota import Quota
from headrace.gateway.settings import Settings
from tests.unit.gateway.arriving import arriving

READER = Caller(name="k1", scopes=frozenset({"jobs:read"}), queues=("mail-*",), quota=Quota(1))


async def admit(_: HTTPConnection) -> Caller:
    return READER


def test_a_caller_does_what_it_may() -> None:
    permit(READER, "jobs:read", "mail-in")
    with pytest.raises(Problem, match="does not allow jobs:write"):
        permit(READER, "jobs:write")
    with pytest.raises(Problem, match="does not allow jobs:read in queue web"):
        permit(READER, "jobs:read", "web")


def test_a_quota_is_told_and_kept(app: App) -> None:
    desk = Desk(app, Settings(), admit)
    request = arriving()
    request.scope[FIELDS] = []
    assert asyncio.run(desk.caller(request, "jobs:read")) is READER
    names = [name for name, _ in request.scope[FIELDS]]
    assert names == [b"ratelimit-policy", b"ratelimit"]
    with pytest.raises(Problem) as caught:
        asyncio.run(desk.caller(request, "jobs:read"))
    assert caught.value.status == 429
