"""A replica takes over: sentinels lead to it, and tokens go on growing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from headrace.engines.redis import RedisEngine
from headrace.errors import OutcomeUnknown, StorageUnfit
from headrace.record import State
from headrace.testing.steps import claim, labels, message, state
from headrace.write import Lease, Send, Settle, Settlement
from tests.redis_server import Server, sentinel, server

PATIENCE = 40.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@contextmanager
def opened(url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(url, poll=0.1)
    engine.open().wait(10)
    try:
        yield engine
    finally:
        engine.close().wait(60)


def follows(replica: Server) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def test_work_goes_on_at_the_server_that_took_over() -> None:
    with (
        server() as primary,
        server(replicaof=f"127.0.0.1 {primary.port}") as replica,
        sentinel(primary) as guard,
    ):
        until(lambda: follows(replica))
        with guard.client() as client:
            until(lambda: bool(client.execute_command("SENTINEL", "REPLICAS", "main")))
        url = f"redis+sentinel://127.0.0.1:{guard.port}/main/0?wait_replicas=1"
        with opened(url) as engine:
            engine.apply(Send((message("a"), message("b")))).wait(PATIENCE)
            first = claim(engine)
            primary.kill()

            def took_over() -> bool:
                with replica.client() as client:
                    return bool(client.info("replication")["role"] == "master")

            until(took_over)
            again: tuple[Lease, ...] = engine.lease(
                ["default"], limit=1, seconds=30, holder="w"
            ).wait(PATIENCE)
            assert labels(first) + labels(again) == ["a", "b"]
            assert again[0].token > first[0].token
            done = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in first + again)
            assert engine.apply(Settle(done)).wait(PATIENCE).lost == frozenset()
            assert state(engine, "a") is State.SUCCEEDED
            # Nobody follows the new primary: what it takes on now may be lost with it.
            with pytest.raises(OutcomeUnknown, match="fewer than 1 replicas"):
                engine.apply(Send((message("c"),))).wait(PATIENCE)


def test_a_replica_is_no_place_to_write_to() -> None:
    with server() as primary, server(replicaof=f"127.0.0.1 {primary.port}") as replica:
        until(lambda: follows(replica))
        with pytest.raises(StorageUnfit, match="name the primary"):
            RedisEngine(replica.url).open().wait(10)
