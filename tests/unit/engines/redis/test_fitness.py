"""A server that cannot keep the promises is refused, with what to do about it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from headrace.engines.redis import RedisEngine
from headrace.engines.redis.address import Address
from headrace.engines.redis.fitness import FORMAT, Facts, check, look, mark
from headrace.engines.redis.link import Link
from headrace.engines.redis.reader import Asker
from headrace.errors import StorageCorrupt, StorageUnfit
from tests.redis_server import server

SOUND = Facts(
    product="Redis", version="7.0.15", mode="standalone", role="master", replicas=0,
    appendonly="yes", appendfsync="always", save="", policy="noeviction", maxmemory=0, used=1,
    format=FORMAT,
)  # fmt: skip


def test_a_sound_server_is_taken() -> None:
    check(SOUND, "here", allow_volatile=False)
    check(replace(SOUND, product="Valkey", version="8.1.0"), "here", allow_volatile=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "6.2.14"}, "use 7.0 or newer"),
        ({"mode": "cluster"}, "is a cluster"),
        ({"role": "slave"}, "name the primary"),
        ({"format": FORMAT + 1}, "upgrade Headrace"),
        ({"policy": "allkeys-lru"}, "maxmemory-policy allkeys-lru"),
        ({"policy": "volatile-ttl"}, "set it to noeviction"),
        ({"appendonly": "no"}, "allow_volatile_server=True"),
    ],
)
def test_an_unfit_one_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(StorageUnfit, match=words) as refused:
        check(replace(SOUND, **change), "redis://host:1/0", allow_volatile=False)
    assert "redis://host:1/0" in str(refused.value)


def test_a_volatile_one_is_taken_if_that_is_meant() -> None:
    check(replace(SOUND, appendonly="no"), "here", allow_volatile=True)


def test_facts_are_read_back(asker: Asker, address: Address) -> None:
    facts = look(asker, address.key)
    assert (facts.product, facts.role, facts.mode) == ("Redis", "master", "standalone")
    assert facts.format == 0
    assert facts.used > 0
    mark(asker, address.key, facts)
    assert look(asker, address.key).format == FORMAT


def test_keys_of_others_are_left_alone(asker: Asker, link: Link, address: Address) -> None:
    link.ask([("SET", f"{address.key}:meta", "theirs")])
    with pytest.raises(StorageCorrupt, match="prefix="):
        look(asker, address.key)
    assert link.ask([("GET", f"{address.key}:meta")]) == [b"theirs"]


def test_a_newer_format_is_not_touched(asker: Asker, link: Link, address: Address) -> None:
    link.ask([("HSET", f"{address.key}:meta", "format", FORMAT + 1)])
    assert look(asker, address.key).format == FORMAT + 1


def test_open_refuses_what_is_unfit() -> None:
    with server(maxmemory_policy="allkeys-lru") as served:
        with pytest.raises(StorageUnfit, match="noeviction"):
            RedisEngine(served.url).open().wait(10)
        with served.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "no")
        with pytest.raises(StorageUnfit, match="appendonly"):
            RedisEngine(served.url).open().wait(10)


def test_a_full_server_that_knows_us_lets_us_in() -> None:
    with server() as served, served.client() as client:
        for maxmemory in (0, 1):
            client.config_set("maxmemory", maxmemory)
            engine = RedisEngine(served.url)
            engine.open().wait(10)
            engine.close().wait(10)


def test_a_server_that_forbids_config_is_asked_no_more() -> None:
    with server() as served:
        with served.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-config")
        engine = RedisEngine(served.url)
        engine.open().wait(10)
        seen = engine.inspect().wait(10)
        engine.close().wait(10)
    assert seen.settings["appendfsync"].startswith("unknown")
    assert seen.guarantee["loss window"] == "unknown"
