"""The engine as a whole, beside what the suites ask of every engine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import pytest

from headrace.cargo import MOVE_PREFIX, Cargo, Keepsake, unpack
from headrace.clock import SystemClock
from headrace.engines.redis import RedisEngine
from headrace.engines.redis.reader import Asker
from headrace.errors import ConfigError, EngineError, InvalidOption, StorageFull, Unsupported
from headrace.message import Message
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import (
    apply,
    claim,
    claim_one,
    commit,
    depth,
    job_id,
    labels,
    maintain,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import (
    CancelJobs,
    Delete,
    Depart,
    Departed,
    EditJobs,
    PauseQueue,
    PurgeJobs,
    Put,
    Restore,
    RetryJobs,
    Send,
)
from tests.redis_server import server

PATIENCE = 10.0
OUT = f"{MOVE_PREFIX}out/1"


@pytest.fixture
def other(url: str, clock: ManualClock) -> Iterator[RedisEngine]:
    """Give an engine as another process would have."""
    engine = RedisEngine(url, clock=clock, allow_volatile_server=True, poll=60.0)
    engine.open().wait(PATIENCE)
    yield engine
    engine.close().wait(PATIENCE)


def keys_left(asker: Asker, engine: RedisEngine) -> set[str]:
    found = asker.call(("KEYS", f"{engine.address.key}:*".replace("{", "[{]")))
    return {key.decode().removeprefix(f"{engine.address.key}:") for key in found}


def test_what_is_not_supported_says_what_to_do_instead(engine: RedisEngine) -> None:
    with pytest.raises(Unsupported, match=r"ctx\.idempotency_key"):
        engine.begin()
    with pytest.raises(Unsupported, match="unique key"):
        engine.adopt(object())


def test_an_unknown_url_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="number"):
        RedisEngine("redis://host/jobs")


def test_opening_without_a_server_says_so() -> None:
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1.*start the server"):
        RedisEngine("redis://127.0.0.1:1/0").open().wait(PATIENCE)


def test_engines_of_two_processes_share_everything(engine: RedisEngine, other: RedisEngine) -> None:
    send(engine, "a", unique_key="k")
    lease = claim_one(other)
    assert settle(engine, lease).lost == frozenset()
    assert state(other, "a") is State.SUCCEEDED


class Skewed(SystemClock):
    """A host whose clock is five minutes fast."""

    def now(self) -> float:
        return super().now() + 300


def test_all_hosts_go_by_the_servers_clock(url: str, asker: Asker) -> None:
    def server_time() -> float:
        seconds, microseconds = asker.call(("TIME",))
        return int(seconds) + int(microseconds) / 1e6

    engine = RedisEngine(url, clock=Skewed(), allow_volatile_server=True)
    engine.open().wait(PATIENCE)
    before = server_time()
    send(engine, "a", delay=5.0, expires_after=60.0)
    accepted, after = record(engine, "a"), server_time()
    maintain(engine)
    engine.close().wait(PATIENCE)
    assert before <= accepted.accepted_at <= after
    assert accepted.run_at == accepted.accepted_at + 5
    assert accepted.state is State.SCHEDULED


def test_a_waiting_claim_hears_of_another_process(engine: RedisEngine, other: RedisEngine) -> None:
    # It would look by itself in a minute only.
    reply = other.lease(["default"], limit=1, seconds=30, holder="w", wait=60)
    send(engine, "a")
    assert labels(reply.wait(PATIENCE)) == ["a"]


def test_a_finished_job_leaves_nothing_but_the_frame(
    engine: RedisEngine, asker: Asker, clock: ManualClock
) -> None:
    fields = {"order_key": "g", "unique_key": "k", "tags": ("t",), "expires_after": 60.0}
    send(engine, "a", **fields)
    settle(engine, claim_one(engine), State.SCHEDULED, delay=5.0)
    clock.advance(5)
    settle(engine, claim_one(engine), State.DEAD)
    apply(engine, Put("k", b"v", expires_after=1.0))
    clock.advance(31 * 86_400)
    maintain(engine)
    left = {key for key in keys_left(asker, engine) if not key.startswith("note:")}
    assert left == {"meta", "queue:default", "queues"}


def test_notes_go_by_themselves(engine: RedisEngine, asker: Asker) -> None:
    send(engine, "a")
    claim_one(engine)
    notes = [key for key in keys_left(asker, engine) if key.startswith("note:")]
    assert len(notes) == 2
    for note in notes:
        assert 0 < asker.call(("TTL", f"{engine.address.key}:{note}")) <= 120


def test_very_many_jobs_are_one_commit(engine: RedisEngine) -> None:
    names = [f"{n}" for n in range(9000)]
    send(engine, *names, order_key="g")
    assert depth(engine).ready == 9000
    apply(engine, CancelJobs(tuple(job_id(name) for name in names[:8500])))
    assert labels(claim(engine, 5)) == ["8500"]
    apply(engine, EditJobs(tuple(job_id(name) for name in names), priority=1))
    assert depth(engine).depth == 500


def test_an_id_purged_and_sent_in_one_commit_is_a_new_job(engine: RedisEngine) -> None:
    send(engine, "a", tags=("old",))
    settle(engine, claim_one(engine))
    commit(engine, PurgeJobs((job_id("a"),)), Send((message("a", tags=("new",)),)))
    found = record(engine, "a")
    assert (found.state, found.attempt, found.message.tags) == (State.READY, 0, ("new",))
    assert labels(claim(engine)) == ["a"]


def test_what_cannot_be_read_is_set_aside(engine: RedisEngine, asker: Asker) -> None:
    send(engine, "a", "b", "c")
    for name, text in (("a", b'{"v":1,"id":7}'), ("b", None)):
        place = f"{engine.address.key}:message:{job_id(name)}"
        asker.call(("DEL", place) if text is None else ("SET", place, text))
    assert labels(claim(engine, 5)) == ["c"]
    for name in ("a", "b"):
        found = record(engine, name)
        assert found.state is State.DEAD
        assert found.failure is not None
        assert found.failure.cause == "unreadable"
        assert found.attempt == 0


def test_a_body_may_be_as_deep_as_it_likes(engine: RedisEngine) -> None:
    body = msgspec.Raw(b'{"x":' + b"[" * 900 + b"]" * 900 + b"}")
    plain = message("a")
    apply(engine, Send((Message(v=1, id=plain.id, task="noop", body=body),)))
    envelope = bytes(claim_one(engine).message.body)
    assert envelope == bytes(body)


def test_a_forked_child_has_connections_of_its_own(engine: RedisEngine) -> None:
    send(engine, "a")
    child = os.fork()
    if child == 0:
        try:
            send(engine, "b")
            claim_one(engine)
        except BaseException:  # noqa: BLE001 - a child must not go on as a test
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (depth(engine).ready, depth(engine).running) == (1, 1)


# Moving -------------------------------------------------------------------------------------------


def unload(engine: RedisEngine, *writes: Send | Put, limit: int = 100) -> Cargo:
    """Let jobs depart in one commit with other writes, and take them out of the store."""
    depart = Depart(OUT, limit, 1 << 22)
    commit(engine, *writes, PauseQueue("default"), depart)
    entry = engine.load([OUT]).wait(PATIENCE).get(OUT)
    assert entry is not None
    apply(engine, Delete(OUT))
    return unpack(entry.value)


def test_what_departs_leaves_nothing_but_the_frame(engine: RedisEngine, asker: Asker) -> None:
    fields = {"order_key": "g", "tags": ("t",), "expires_after": 60.0}
    send(engine, "a", "b", unique_key=None, **fields)
    settle(engine, claim_one(engine), result=msgspec.Raw(b"[]"))
    send(engine, "c", unique_key="k", delay=5.0, **fields)
    assert labels(unload(engine).jobs) == ["b", "c"]
    assert labels(unload(engine).jobs) == ["a"]
    left = {key for key in keys_left(asker, engine) if not key.startswith("note:")}
    assert left == {"meta", "queue:default", "queues"}


def test_what_a_commit_sends_may_depart_in_it(engine: RedisEngine, asker: Asker) -> None:
    send(engine, "a", "z")
    cargo = unload(engine, Send((message("b", unique_key="k"),)), limit=2)
    assert labels(cargo.jobs) == ["a", "z"]
    cargo = unload(engine, Send((message("c", order_key="g", tags=("t",)),)))
    assert labels(cargo.jobs) == ["b", "c"]
    cargo = unload(engine, Put("n", b"new"))
    assert cargo.entries == (Keepsake("n", b"new", 1),)
    left = {key for key in keys_left(asker, engine) if not key.startswith("note:")}
    assert left == {"meta", "queue:default", "queues"}


@pytest.mark.parametrize(
    "text",
    [
        None,
        b'{"v":1',
        b"[]",
        b'{"v":1,"id":7,"task":"noop","body":{}}',
        b'{"v":2,"id":"%s","task":"noop","body":{}}',
        b'{"v":1,"id":"%s","task":"noop","body":{},"news":1}',
    ],
)
def test_what_cannot_be_read_does_not_depart(
    engine: RedisEngine, asker: Asker, text: bytes | None
) -> None:
    send(engine, "a", "b")
    place = f"{engine.address.key}:message:{job_id('b')}"
    own = (text or b"").replace(b"%s", job_id("b").encode())
    asker.call(("DEL", place) if text is None else ("SET", place, own))
    with pytest.raises(InvalidOption, match="upgrade headrace"):
        unload(engine)
    assert depth(engine).ready == 2
    assert engine.load([OUT]).wait(PATIENCE).get(OUT) is None


def test_a_message_keeps_its_text_but_for_what_holds_no_more(engine: RedisEngine) -> None:
    body = msgspec.Raw(b'{"priority":[1.0, {}],"expires":"},\\"priority\\":7,\\\\"}')
    kept = {"headers": {"k": ",{"}, "tags": ("}", '"')}
    apply(engine, Send((message("a", priority=4, expires_after=9.0, body=body, **kept),)))
    settle(engine, claim_one(engine), State.DEAD)
    apply(engine, RetryJobs((job_id("a"),)))
    apply(engine, EditJobs((job_id("a"),), priority=-8))
    (job,) = unload(engine).jobs
    assert job.message == message("a", priority=-8, body=body, **kept)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 100_001])
def test_every_value_departs_as_it_is(engine: RedisEngine, size: int) -> None:
    value = (bytes(range(256)) * (size // 256 + 1))[:size]
    apply(engine, Put('k"/\x00é', value))
    assert [entry.value for entry in unload(engine).entries] == [value]


def test_a_load_ends_where_it_becomes_too_heavy(engine: RedisEngine) -> None:
    for name in "abc":
        apply(engine, Put(name, b"x" * 3000))
    assert apply(engine, Depart(OUT, 9, 9000)) == Departed(entries=2)


def test_very_many_jobs_depart_and_arrive(engine: RedisEngine) -> None:
    names = [f"{n}" for n in range(9000)]
    send(engine, *names, order_key="g")
    cargo = unload(engine, limit=9000)
    assert depth(engine).depth == 0
    commit(engine, Restore(cargo), PauseQueue("default", paused=False))
    assert depth(engine).ready == 9000
    assert labels(claim(engine, 5)) == ["0"]


def test_a_full_server_lets_jobs_go_and_takes_none_in() -> None:
    with server() as served:
        engine = RedisEngine(served.url)
        engine.open().wait(PATIENCE)
        send(engine, "a")
        with served.client() as client:
            client.config_set("maxmemory", 1)
            apply(engine, Put(f"{MOVE_PREFIX}to", b"there"))
            cargo = unload(engine)
            assert labels(cargo.jobs) == ["a"]
            for writes in ([Restore(cargo)], [Restore(cargo), PauseQueue("default", paused=False)]):
                with pytest.raises(StorageFull):
                    commit(engine, *writes)
            client.config_set("maxmemory", 0)
        apply(engine, Restore(cargo))
        assert state(engine, "a") is State.READY
        engine.close().wait(PATIENCE)
