"""A program of asyncio hands work over, and is told what became of it, as a blocking one is."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx2
import pytest

from headrace.client import AsyncClient, Client
from headrace.errors import GatewayError, JobDead, ResultTimeout
from headrace.record import State

T = TypeVar("T")
Talking = Callable[[Callable[[AsyncClient], Coroutine[Any, Any, T]]], T]


@pytest.fixture
def talking(url: str) -> Talking[Any]:
    """Run a coroutine with a client."""

    def run(talk: Callable[[AsyncClient], Coroutine[Any, Any, T]]) -> T:
        async def main() -> T:
            async with AsyncClient(url) as client:
                return await talk(client)

        return asyncio.run(main())

    return run


def test_results_come_back(talking: Talking[list[Any]]) -> None:
    async def talk(client: AsyncClient) -> list[Any]:
        jobs = [await client.submit("add", {"left": n}) for n in range(3)]
        return await asyncio.gather(*(client.result(job, timeout=10) for job in jobs))

    assert talking(talk) == [0, 1, 2]


def test_events_are_told_until_the_end(talking: Talking[list[str]]) -> None:
    async def talk(client: AsyncClient) -> list[str]:
        job = await client.submit("report", {"pages": 3}, delay=0.2)
        return [event.type async for event in client.events(job)]

    kinds = talking(talk)
    assert (kinds[0], kinds[-1]) == ("snapshot", "end")


def test_jobs_are_cancelled_retried_and_listed(talking: Talking[None]) -> None:
    async def talk(client: AsyncClient) -> None:
        calls = [{"task": "add", "arguments": {"left": 1}, "options": {"delay": 60}}] * 3
        jobs = await client.submit_many(calls)
        with pytest.raises(ResultTimeout):
            await client.result(jobs[0], timeout=0)
        listed = [job.id async for job in client.jobs(state="scheduled", page_size=1)]
        assert set(listed) >= {job.id for job in jobs}
        assert (await client.cancel(jobs[0])).state is State.CANCELLED
        assert (await client.job(jobs[1])).state is State.SCHEDULED
        await client.retry(jobs[1])
        assert (await client.wait(jobs[1], timeout=10)).state is State.SUCCEEDED
        dead = await client.submit("divide", {"by": 0})
        with pytest.raises(JobDead):
            await client.result(dead, timeout=10)

    talking(talk)


def test_nobody_there_is_said_when_patience_ends() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused")

    async def talk() -> None:
        transport = httpx2.MockTransport(refuse)
        async with AsyncClient("http://gateway", transport=transport, patience=0.1) as client:
            with pytest.raises(GatewayError, match="connection refused"):
                await client.submit("add")
            with pytest.raises(GatewayError, match="connection refused"):
                async for _ in client.events("1"):
                    pass

    asyncio.run(talk())


def test_it_is_the_twin_of_the_blocking_client() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            twin = inspect.signature(getattr(AsyncClient, name))
            assert list(twin.parameters) == list(inspect.signature(method).parameters)
