"""`headrace guarantees` prints the row of the protocol's table that holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.engines.memory import MemoryEngine
from headrace.engines.postgresql.inspecting import guarantee_of
from headrace.engines.redis import RedisEngine
from headrace.testing.steps import PATIENCE
from tests.redis_server import server
from tests.unit.cli.conftest import Shop, Terminal

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "protocol.md"


def promised(setting: str) -> dict[str, str]:
    """Return a row of the table, by its headings."""
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    heading = next(line for line in table if line.startswith("| engine, setting |"))
    row = next(line for line in table if line.startswith("| `") and setting in line)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (heading, row)]
    return {head.replace("`", ""): cell for head, cell in list(zip(*cells, strict=True))[1:]}


@pytest.mark.parametrize("durability", ["power", "crash"])
def test_guarantees_are_those_of_the_protocol(
    terminal: Terminal, shop: Shop, durability: str
) -> None:
    shop.submit()
    shop.app.close()  # one process has a file open in one way
    found = terminal.json("--config", f"durability={durability}", "guarantees")
    row = promised(f'durability="{durability}"')
    assert len(row) == 4
    assert row.items() <= found["guarantee"].items()
    shown = terminal("--config", f"durability={durability}", "guarantees").stdout
    for text in (*row, *row.values()):
        assert text in shown


def test_the_memory_engine_promises_nothing() -> None:
    engine = MemoryEngine()
    engine.open().wait(PATIENCE)
    assert engine.inspect().wait(PATIENCE).guarantee == promised("`memory:`")


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("appendfsync always", {"appendfsync": "always"}),
        ("appendfsync everysec", {"appendfsync": "everysec"}),
        ("appendonly no", {"appendonly": "no"}),
    ],
)
def test_redis_promises_what_its_settings_give(setting: str, settings: dict[str, str]) -> None:
    with server(**settings) as served:
        engine = RedisEngine(served.url, allow_volatile_server=True)
        engine.open().wait(PATIENCE)
        found = engine.inspect().wait(PATIENCE).guarantee
        engine.close().wait(PATIENCE)
    row = promised(setting)
    loss = "survives the loss of the machine"
    assert len(row) == 4
    assert found[loss].startswith("no")
    assert {k: v for k, v in row.items() if k != loss}.items() <= found.items()


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        ("`postgresql:`, one server", {}),
        ("a synchronous standby", {"synchronous_standby_names": "a"}),
        (
            "an asynchronous standby",
            {"synchronous_standby_names": "a", "synchronous_commit": "local"},
        ),
        ("`postgresql:`, `allow_unsafe_server`", {"fsync": "off"}),
    ],
)
def test_a_postgresql_server_promises_by_its_settings(row: str, settings: dict[str, str]) -> None:
    safe = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "synchronous_standby_names": "",
    }
    found = guarantee_of(safe | settings)
    assert promised(row).items() <= found.items()
    shared = {"delivery", "order", "leases"}
    assert found.keys() == promised(row).keys() | shared
