"""The schema is made once, brought up to date under a lock, and refused when it is newer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from headrace.engines.postgresql import database
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.database import SCHEMA_VERSION, Database, Safety
from headrace.engines.postgresql.engine import PostgreSQLEngine
from headrace.engines.postgresql.link import Link
from headrace.errors import EngineBusy, StorageUnfit
from headrace.ids import Ids
from headrace.testing.steps import PATIENCE, claim, labels, send, settle
from tests.postgresql import Place
from tests.unit.engines.postgresql.newer import migrations, upgrade
from tests.unit.engines.postgresql.rivals import somebody_waits

NEWER = SCHEMA_VERSION + 1
ROOT = Path(__file__).parents[4]


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


# Bringing it up to date --------------------------------------------------------------------------


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """Give the folder of migrations of a newer version."""
    return migrations(tmp_path)


def migrated(address: Address, *, check: bool = False, deadline: float = 30.0) -> tuple[int, int]:
    """Return from which version to which it was brought."""
    made = Database(address, allow_unsafe_server=True, deadline=deadline)
    schema = made.migrate(check=check)
    return schema.found, schema.version


def test_it_tells_from_which_version_to_which(
    fresh: Address, step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert migrated(fresh, check=True) == (0, 0)
    assert migrated(fresh) == (0, SCHEMA_VERSION)
    assert migrated(fresh) == (SCHEMA_VERSION, SCHEMA_VERSION)
    upgrade(monkeypatch, step)
    assert migrated(fresh, check=True) == (SCHEMA_VERSION, SCHEMA_VERSION)
    assert migrated(fresh) == (SCHEMA_VERSION, NEWER)
    assert migrated(fresh, check=True) == (NEWER, NEWER)


def test_the_older_version_goes_on_beside_the_newer_one(
    postgresql: Place, fresh: Address, step: Path
) -> None:
    url = f"{postgresql.server}?schema={fresh.schema}"
    with pytest.MonkeyPatch.context() as patch:
        older = PostgreSQLEngine(url, allow_unsafe_server=True)
        older.open().wait(PATIENCE)
        send(older, "a")
        upgrade(patch, step)
        newer = PostgreSQLEngine(url, allow_unsafe_server=True)
        newer.open().wait(PATIENCE)
    (job,) = claim(newer, 5)
    send(newer, "b")
    settle(older, job)
    (other,) = claim(older, 5)
    assert labels([job, other]) == ["a", "b"]
    late = PostgreSQLEngine(url, allow_unsafe_server=True)  # of the older version, started now
    late.open().wait(PATIENCE)
    assert migrated(fresh, check=True) == (NEWER, NEWER)
    for engine in (older, newer, late):
        engine.close().wait(PATIENCE)


def test_of_two_processes_one_migrates(postgresql: Place, fresh: Address, step: Path) -> None:
    prepare(fresh)
    url = f"{postgresql.server}?schema={fresh.schema}"
    command = ("-m", "tests.unit.engines.postgresql.newer", str(step), "--url", url)
    options = ("--config", "allow_unsafe_server=true", "migrate", "--json")
    with Link(fresh).raw as rival:  # both wait for it, and begin at the same time
        rival.execute("begin")
        rival.execute(f"lock table {fresh.schema}.engine in access exclusive mode".encode())
        processes = [
            subprocess.Popen(
                [sys.executable, *command, *options], stdout=subprocess.PIPE, cwd=ROOT, text=True
            )
            for _ in range(2)
        ]
        somebody_waits(postgresql, 2)
        rival.execute("rollback")
    told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert {process.returncode for process in processes} == {0}
    assert sorted(one["from"] for one in told) == [SCHEMA_VERSION, NEWER]
    assert {one["to"] for one in told} == {NEWER}


@pytest.mark.parametrize(
    "statement",
    [
        "select pg_advisory_xact_lock(hashtextextended('{}.migration', 0))",
        "select count(*) from {}.queue",
    ],
)
def test_whoever_stands_in_the_way_is_named(
    fresh: Address, step: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    prepare(fresh)
    upgrade(monkeypatch, step)
    with psycopg.connect(fresh.conninfo) as rival:
        rival.execute(statement.format(fresh.schema).encode())
        with pytest.raises(EngineBusy, match=rf"process {rival.info.backend_pid} \(.*nothing was"):
            migrated(fresh, deadline=1.0)
        assert migrated(fresh, check=True) == (SCHEMA_VERSION, SCHEMA_VERSION)
    assert migrated(fresh) == (SCHEMA_VERSION, NEWER)


def test_a_role_that_may_not_is_told_which_command_another_may_call(
    postgresql: Place, fresh: Address, step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(fresh)
    role = f"headrace_test_{Ids().nonce()}"
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        connection.execute(
            f"create role {role} login; grant usage on schema {fresh.schema} to {role};"
            f" grant select on all tables in schema {fresh.schema} to {role}".encode()
        )
        try:
            url = re.sub(r"//[^@/]*@", f"//{role}@", postgresql.server)
            theirs = Address(f"{url}?schema={fresh.schema}")
            prepare(theirs)  # nothing is due
            upgrade(monkeypatch, step)
            with pytest.raises(StorageUnfit, match=f"version {SCHEMA_VERSION} .*headrace migrate"):
                prepare(theirs)
        finally:
            connection.execute(f"drop owned by {role}; drop role {role}".encode())


ADDING = re.compile(
    r"(create (table|index|unique index|sequence)|comment on|alter table \S+ (add column|set \()"
    r"|update headrace\.engine)",
)


def taking(text: str) -> list[str]:
    """Return the statements of a migration that do more than add."""
    plain = re.sub(r"--.*", "", text).lower()
    statements = [" ".join(one.split()) for one in plain.split(";")]
    return [
        one
        for one in statements
        if one
        and (not ADDING.match(one) or ("add column" in one and "not null" in one))
        # A default makes the older version's rows whole.
        and not ("not null" in one and " default " in one and ADDING.match(one))
    ]


def test_migrations_only_add() -> None:
    for file in sorted(database._MIGRATIONS.glob("*.sql"))[1:]:
        assert taking(file.read_text()) == [], file.name


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("alter table headrace.job add column x text", 0),
        ("-- why\nalter table headrace.job add column x text not null default ''", 0),
        ("alter table headrace.job add column x text not null", 1),
        ("alter table headrace.job drop column size", 1),
        ("alter table headrace.job rename to jobs", 1),
        ("create table headrace.x (a int not null); drop table headrace.flow", 1),
    ],
)
def test_what_takes_is_found(text: str, count: int) -> None:
    assert len(taking(text)) == count
