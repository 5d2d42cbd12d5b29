"""The server is killed, frozen, or comes back with an older past: what was promised holds."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.engines.redis import RedisEngine
from headrace.errors import EngineBusy, EngineError, OutcomeUnknown, StorageFull
from headrace.record import State
from headrace.testing.steps import claim_one, job_id, message, send, settle, state
from headrace.write import Put, Send
from tests.faults.redis_load import Load, lost, repeated_tokens
from tests.redis_plants import plant
from tests.redis_server import Server, server

ROUNDS = 3
LOAD_SECONDS = 0.6


@contextmanager
def engine_on(served: Server, deadline: float = 30.0) -> Iterator[RedisEngine]:
    engine = RedisEngine(served.url, allow_volatile_server=True, poll=0.1, deadline=deadline)
    engine.open().wait(10)
    try:
        yield engine
    finally:
        engine.close().wait(60)


def storm(served: Server, load: Load) -> None:
    """Kill the server under load, some times over."""
    with load.running():
        for _ in range(ROUNDS):
            time.sleep(LOAD_SECONDS)
            served.kill()
            served.start()
        time.sleep(LOAD_SECONDS)


def test_a_killed_server_loses_nothing_that_was_accepted() -> None:
    with server(appendfsync="always") as served, engine_on(served) as engine:
        load = Load(engine)
        storm(served, load)
        load.work_off()
        assert len(load.accepted) > 100
        assert load.errors == []
        assert lost(engine, load) == []
        assert repeated_tokens(load) == []
        states = engine.states(load.accepted).wait(30)
        running = [i for i, found in states.items() if found is State.RUNNING]
        assert running == []
        assert load.settled >= set(load.accepted)


def test_a_server_that_keeps_nothing_is_found_out() -> None:
    with server(appendonly="no") as served, engine_on(served) as engine:
        load = Load(engine)
        storm(served, load)
        assert lost(engine, load) != []


class Past:
    """The files of a server at one moment, to which it can be set back."""

    def __init__(self, served: Server, folder: Path) -> None:
        self._served = served
        self._copy = folder / "past"
        served.stop()
        shutil.copytree(served.folder, self._copy)
        served.go_on()

    def restore(self) -> None:
        """Let the server begin anew with what it knew then, as if the rest had not been synced."""
        self._served.kill()
        shutil.rmtree(self._served.folder)
        shutil.copytree(self._copy, self._served.folder)
        self._served.start()


def test_what_everysec_loses_is_what_came_last_and_no_token_comes_twice(tmp_path: Path) -> None:
    with server(appendfsync="everysec") as served, engine_on(served) as engine:
        load = Load(engine)
        with load.running():
            time.sleep(LOAD_SECONDS)
            past = Past(served, tmp_path)
            before = len(load.accepted)
            time.sleep(LOAD_SECONDS)
            past.restore()
            after = len(load.accepted)
            time.sleep(LOAD_SECONDS)
        gone = lost(engine, load)
        # Threads note what was accepted a little later than it is: some of each end.
        window = set(load.accepted[max(0, before - 20) : after + 20])
        assert gone != []
        assert set(gone) <= window
        load.work_off()
        assert repeated_tokens(load) == []


def test_a_claim_that_was_not_synced_fences_nobody_out(tmp_path: Path) -> None:
    with server(appendfsync="no") as served, engine_on(served) as engine:
        send(engine, "a")
        past = Past(served, tmp_path)
        forgotten = claim_one(engine)
        past.restore()
        again = claim_one(engine)
        assert again.token > forgotten.token
        assert settle(engine, forgotten).lost == {job_id("a")}
        assert settle(engine, again).lost == frozenset()


@pytest.mark.parametrize(
    ("passage", "bug"),
    [
        ("math.max(token, header[5], microseconds)", "token"),
        ("meta_of('run') ~= header[4]", "false"),
    ],
)
def test_a_counter_that_merely_counts_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passage: str, bug: str
) -> None:
    plant(monkeypatch, passage, bug)
    with pytest.raises(AssertionError):
        test_a_claim_that_was_not_synced_fences_nobody_out(tmp_path)


def test_tokens_begin_anew_without_the_memory_of_this_process(tmp_path: Path) -> None:
    with server(appendfsync="no") as served:
        with engine_on(served) as engine:
            send(engine, "a")
            past = Past(served, tmp_path)
            forgotten = claim_one(engine)
        past.restore()
        with engine_on(served) as engine:
            assert claim_one(engine).token > forgotten.token


def test_while_the_server_is_away_everybody_is_answered_in_time() -> None:
    with server() as served, engine_on(served, deadline=1.0) as engine:
        served.kill()
        for call in (
            lambda: send(engine, "a"),
            lambda: engine.apply(Put("k", b"")).wait(5),
            lambda: engine.lease(["default"], limit=1, seconds=30, holder="w").wait(5),
            lambda: state(engine, "a"),
        ):
            with pytest.raises(EngineError) as refused:
                call()
            assert "too long" in str(refused.value) or "went away" in str(refused.value)
        served.start()
        send(engine, "b")
        assert state(engine, "b") is State.READY


def test_a_frozen_server_is_no_reason_to_hang() -> None:
    with server() as served, engine_on(served, deadline=1.0) as engine:
        send(engine, "a")
        served.stop()
        with pytest.raises(OutcomeUnknown) as unknown:
            send(engine, "b")
        assert unknown.value.job_ids == (job_id("b"),)
        with pytest.raises(EngineBusy):
            state(engine, "a")
        served.go_on()
        send(engine, "c")
        assert state(engine, "a") is State.READY


def test_a_waiting_claim_survives_a_restart() -> None:
    with server() as served, engine_on(served) as engine:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        served.kill()
        served.start()
        sender = threading.Thread(target=send, args=(engine, "a"))
        sender.start()
        assert [lease.job_id for lease in reply.wait(20)] == [job_id("a")]
        sender.join()


def test_scripts_that_were_flushed_are_sent_again() -> None:
    with server() as served, engine_on(served) as engine:
        send(engine, "a")
        with served.client() as client:
            client.script_flush()
        send(engine, "b")
        assert settle(engine, claim_one(engine)).lost == frozenset()


def test_a_full_server_takes_no_new_work_and_ends_what_it_has() -> None:
    with server() as served, engine_on(served) as engine:
        send(engine, "a", "b")
        lease = claim_one(engine)
        with served.client() as client:
            client.config_set("maxmemory", 1)
            for call in (
                lambda: send(engine, "c"),
                lambda: engine.apply(Put("k", b"")).wait(5),
                lambda: engine.commit([Send((message("d"),)), Send((message("e"),))]).wait(5),
            ):
                with pytest.raises(StorageFull):
                    call()
            assert settle(engine, lease).lost == frozenset()
            assert settle(engine, claim_one(engine)).lost == frozenset()
            client.config_set("maxmemory", 0)
        send(engine, "c")
        assert state(engine, "c") is State.READY
