"""The schema is made once, brought up to date under a lock, and refused when it is newer."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from headrace.engines.postgresql import database
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.database import SCHEMA_VERSION, Database, Safety
from headrace.engines.postgresql.link import Link
from headrace.errors import StorageUnfit
from tests.postgresql import Place


@pytest.fixture
def fresh(postgresql: Place) -> Iterator[Address]:
    """Give the address of a schema that is not there."""
    address = Address(f"{postgresql.server}?schema=headrace_new_{uuid.uuid4().hex[:8]}")
    yield address
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        connection.execute(f"drop schema if exists {address.schema} cascade".encode())


def prepare(address: Address) -> None:
    Database(address, allow_unsafe_server=True).prepare()


def test_many_make_it_at_the_same_time(fresh: Address) -> None:
    failed: list[BaseException] = []

    def make() -> None:
        try:
            prepare(fresh)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    link = Link(fresh)
    assert link.say("select version from headrace.engine") == [(SCHEMA_VERSION,)]
    link.close()


def test_a_newer_schema_is_refused_only_if_it_says_so(fresh: Address) -> None:
    prepare(fresh)
    link = Link(fresh)
    link.say("update headrace.engine set version = 99")
    prepare(fresh)
    link.say("update headrace.engine set least = 99")
    link.close()
    with pytest.raises(StorageUnfit, match=r"version 99 .* upgrade headrace"):
        prepare(fresh)


@pytest.mark.parametrize(
    ("safety", "words"),
    [
        (
            Safety(fsync=False, full_page_writes=True, in_recovery=False, read_only=False),
            "fsync off",
        ),
        (
            Safety(fsync=True, full_page_writes=False, in_recovery=False, read_only=False),
            "full_page_writes off",
        ),
    ],
)
def test_a_server_that_may_lose_data_needs_a_flag(
    fresh: Address, monkeypatch: pytest.MonkeyPatch, safety: Safety, words: str
) -> None:
    monkeypatch.setattr(database, "read_safety", lambda _: safety)
    with pytest.raises(StorageUnfit, match=words):
        Database(fresh, allow_unsafe_server=False).prepare()
    prepare(fresh)


@pytest.mark.parametrize(
    "safety",
    [
        Safety(fsync=True, full_page_writes=True, in_recovery=True, read_only=False),
        Safety(fsync=True, full_page_writes=True, in_recovery=False, read_only=True),
    ],
)
def test_a_standby_is_no_place_to_write(
    fresh: Address, monkeypatch: pytest.MonkeyPatch, safety: Safety
) -> None:
    monkeypatch.setattr(database, "read_safety", lambda _: safety)
    with pytest.raises(StorageUnfit, match="primary"):
        prepare(fresh)
