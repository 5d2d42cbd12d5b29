"""What is the PostgreSQL engine's own: two of them on one schema, and what it declares."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.errors import ConfigError, EngineBusy, Unsupported, UsageError
from headrace.record import State
from headrace.testing.steps import claim, job_id, labels, send, settle, state
from headrace.write import Put
from tests.postgresql import Place


def test_what_it_cannot_do_it_says(engine: PostgreSQLEngine, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="pg_dump"):
        engine.backup(tmp_path / "copy").wait(10)
    with pytest.raises(UsageError, match="cannot join the transaction of a builtins object"):
        engine.adopt(object())
    with pytest.raises(UsageError, match="not a transaction of this engine"):
        engine.apply(Put("k", b""), tx="tx").wait(10)  # type: ignore[arg-type] # that is the point


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        PostgreSQLEngine("postgresql://h/d?nonsense=1")


def test_a_server_that_is_not_there_is_told_of() -> None:
    engine = PostgreSQLEngine("postgresql://me:secret@127.0.0.1:1/none")
    with pytest.raises(EngineBusy) as away:
        engine.open().wait(20)
    assert "secret" not in str(away.value)


def test_a_job_sent_by_one_wakes_another(engine: PostgreSQLEngine, rival: PostgreSQLEngine) -> None:
    reply = rival.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
    send(engine, "a")
    assert labels(reply.wait(10)) == ["a"]


def test_a_hundred_threads_of_two_engines_give_every_job_once(
    engine: PostgreSQLEngine, rival: PostgreSQLEngine
) -> None:
    names = [f"{number}" for number in range(300)]
    for first in range(0, 300, 50):
        send((engine, rival)[first // 50 % 2], *names[first : first + 50], order_key=f"g{first}")
    taken: list[str] = []

    def consume(one: PostgreSQLEngine) -> None:
        while len(taken) < len(names):
            for lease in claim(one, 5):
                taken.extend(labels([lease]))
                assert settle(one, lease).lost == frozenset()

    threads = [threading.Thread(target=consume, args=((engine, rival)[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(names)
    for first in range(0, 300, 50):
        group = [name for name in taken if first <= int(name) < first + 50]
        assert group == names[first : first + 50]


def test_leases_go_by_the_servers_clock(postgresql: Place) -> None:
    fast = PostgreSQLEngine(postgresql.url, allow_unsafe_server=True)
    fast.open().wait(10)
    send(fast, "a")
    claim(fast, seconds=60)
    ((left,),) = fast._look(
        lambda link: link.say(
            "select lease_until - extract(epoch from clock_timestamp())::float8"
            " from headrace.running"
        )
    ).wait(10)
    assert 0 < left <= 60
    assert state(fast, "a") is State.RUNNING
    assert fast.states([job_id("b")]).wait(10) == {}
    fast.close().wait(10)
