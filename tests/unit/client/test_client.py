"""A blocking program hands work over, and is told what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest

from headrace.client import Client, Snapshot
from headrace.errors import (
    GatewayError,
    InvalidArguments,
    JobDead,
    JobNotFound,
    ResultTimeout,
    UnknownTask,
)
from headrace.record import State

Answering = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


def prepared(answering: Answering) -> Client:
    return Client("http://gateway", transport=httpx2.MockTransport(answering), patience=5)


def test_a_result_comes_back(client: Client) -> None:
    job = client.submit("add", {"left": 1, "right": 2})
    assert isinstance(job, Snapshot)
    assert client.result(job, timeout=10) == 3
    assert client.wait(job).state is State.SUCCEEDED
    assert client.job(job.id).result == 3


def test_a_large_result_comes_back(client: Client) -> None:
    job = client.submit("large", {"size": 100_000})
    assert len(client.result(job, timeout=10)) == 100_000


def test_a_batch_is_handed_over(client: Client) -> None:
    jobs = client.submit_many([{"task": "add", "arguments": {"left": n}} for n in range(5)])
    assert [client.result(job, timeout=10) for job in jobs] == list(range(5))


def test_a_submit_with_a_key_takes_effect_once(client: Client) -> None:
    first, second = (client.submit("add", {"left": 1}, idempotency_key="order-1") for _ in range(2))
    assert first.id == second.id


def test_events_are_told_until_the_end(client: Client) -> None:
    job = client.submit("report", {"pages": 3}, delay=0.2)
    events = list(client.events(job))
    assert events[0].type == "snapshot"
    assert events[-1].type == "end"
    assert list(client.events(job))[-1].type == "end"


def test_a_failed_job_raises(client: Client) -> None:
    job = client.submit("divide", {"by": 0})
    with pytest.raises(JobDead, match="ZeroDivisionError"):
        client.result(job, timeout=10)


def test_a_waiting_job_is_cancelled_and_a_dead_one_retried(client: Client) -> None:
    waiting = client.submit("add", {"left": 1}, delay=60)
    with pytest.raises(ResultTimeout, match="scheduled"):
        client.result(waiting, timeout=0)
    assert client.cancel(waiting).state is State.CANCELLED
    dead = client.submit("divide", {"by": 0})
    assert client.wait(dead, timeout=10).state is State.DEAD
    assert client.retry(dead).state in (State.READY, State.RUNNING, State.DEAD)


def test_jobs_are_listed_over_several_pages(client: Client) -> None:
    jobs = client.submit_many(
        [{"task": "add", "arguments": {"left": n}, "options": {"delay": 60}} for n in range(5)]
    )
    listed = [job.id for job in client.jobs(state="scheduled", page_size=2)]
    assert listed == [job.id for job in reversed(jobs)]


def test_wrong_calls_are_told_apart(client: Client) -> None:
    with pytest.raises(UnknownTask):
        client.submit("adds")
    with pytest.raises(InvalidArguments):
        client.submit("add", {"left": "one"})
    with pytest.raises(InvalidArguments):
        client.submit("add", {"left": 1}, prioritty=5)
    with pytest.raises(JobNotFound):
        client.job("nothing")


def test_nobody_there_is_said_when_patience_ends() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused")

    with Client("http://gateway", transport=httpx2.MockTransport(refuse), patience=0.1) as client:
        with pytest.raises(GatewayError, match="connection refused"):
            client.submit("add")
        with pytest.raises(GatewayError, match="connection refused"):
            list(client.events("1"))


def test_what_was_lost_on_the_way_is_sent_again_with_the_same_key() -> None:
    keys: list[str] = []

    def lose_the_first(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx2.ReadError("cut")
        return httpx2.Response(202, json={"id": "1", "state": "ready", "task": "add", "queue": "q"})

    with prepared(lose_the_first) as client:
        assert client.submit("add", {"left": 1}).id == "1"
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_the_key_goes_with_each_request() -> None:
    seen: list[str] = []

    def look(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["authorization"])
        return httpx2.Response(200, json={"jobs": []})

    transport = httpx2.MockTransport(look)
    with Client("http://gateway", key="hr_1_2", transport=transport) as client:
        assert list(client.jobs()) == []
    assert seen == ["Bearer hr_1_2"]
