"""What doctor prints is read back from the server."""

from __future__ import annotations

import pytest

from headrace.engines.postgresql import PostgreSQLEngine, inspecting
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from tests.postgresql import Place


def test_it_tells_where_and_what(engine: PostgreSQLEngine, postgresql: Place) -> None:
    seen = engine.inspect().wait(10)
    assert seen.engine.startswith("PostgreSQL ")
    assert postgresql.schema in seen.location
    assert {"fsync", "full_page_writes", "synchronous_commit"} <= seen.settings.keys()
    assert seen.settings["in recovery"] == "no"
    assert "wall clock" in seen.guarantee["leases"]


SAFE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
}


@pytest.mark.parametrize(
    ("settings", "power", "failover"),
    [
        ({}, "yes", "no: back to the last backup"),
        ({"fsync": "off"}, "no: it may damage", "no"),
        ({"synchronous_standby_names": "ANY 1 (a, b)"}, "yes", "yes"),
        (
            {"synchronous_standby_names": "a", "synchronous_commit": "local"},
            "yes",
            "the newest commits are lost",
        ),
    ],
)
def test_the_guarantee_follows_the_settings(
    settings: dict[str, str], power: str, failover: str
) -> None:
    guarantee = inspecting.guarantee_of(SAFE | settings)
    assert guarantee["accepted job survives a power cut"].startswith(power)
    assert guarantee["survives the loss of the machine"].startswith(failover)


def test_it_warns_of_what_an_operator_should_know() -> None:
    unsafe = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    warnings = inspecting._warnings(SAFE | unsafe, [(4711, 90.0)], direct=False)
    words = ("fsync", "full_page_writes", "synchronous_commit", "process 4711", "pooler")
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))
    assert inspecting._warnings(SAFE, [(4711, 1.0)], direct=True) == []


def test_the_password_is_not_told(link: Link, postgresql: Place) -> None:
    address = Address(postgresql.url.replace("://", "://user:secret@", 1).replace("@root@", "@"))
    assert "secret" not in str(inspecting.inspect(link, address))
