"""What doctor prints is read back."""

from __future__ import annotations

import pytest

from headrace.engine import Inspection
from headrace.engines.redis import RedisEngine
from tests.redis_server import server


def seen(url: str) -> Inspection:
    engine = RedisEngine(url, allow_volatile_server=True)
    engine.open().wait(10)
    try:
        return engine.inspect().wait(10)
    finally:
        engine.close().wait(10)


@pytest.mark.parametrize(
    ("settings", "window"),
    [
        ({"appendfsync": "always"}, "none while"),
        ({"appendfsync": "everysec"}, "two seconds"),
        ({"appendfsync": "no"}, "half a minute"),
        ({"appendonly": "no"}, "since the last snapshot"),
    ],
)
def test_the_guarantee_is_the_one_that_holds(settings: dict[str, str], window: str) -> None:
    with server(**settings) as served:
        inspection = seen(served.url)
    assert window in inspection.guarantee["loss window"]
    assert inspection.engine.startswith("Redis 7")
    assert "no replica" in inspection.guarantee["survives the loss of the machine"]
    volatile = "restart of the server loses jobs"
    assert any(volatile in text for text in inspection.warnings) is ("appendonly" in settings)


def test_nearly_full_memory_is_a_warning() -> None:
    with server() as served:
        seen(served.url)
        with served.client() as client:
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", int(used * 1.05))
        assert any("soon be refused" in text for text in seen(served.url).warnings)


def test_a_replica_is_counted() -> None:
    with server() as served, server(replicaof=f"127.0.0.1 {served.port}") as follower:
        with follower.client() as client:
            while client.info("replication")["master_link_status"] != "up":
                pass
        inspection = seen(f"{served.url}?wait_replicas=1")
    assert "1 connected" in inspection.settings["replicas"]
    assert "have confirmed" in inspection.guarantee["survives the loss of the machine"]
