"""The schema in the database: making it, bringing it up to date, refusing what is unfit."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg

from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import Rows
from headrace.errors import StorageUnfit

_OLDEST_SERVER = 130_000
_MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
_MIGRATION_SECONDS = 300.0
_LOCK = "select pg_advisory_xact_lock(hashtextextended('headrace.migration', 0))"

SCHEMA_VERSION = 2


class Safety(NamedTuple):
    """What the server's settings do to what was promised."""

    fsync: bool
    full_page_writes: bool
    in_recovery: bool
    read_only: bool


class Database:
    """A database with Headrace's schema in it.

    Args:
        address: where it is.
        allow_unsafe_server: use a server all the same that may lose or damage what it has accepted.
    """

    def __init__(self, address: Address, *, allow_unsafe_server: bool) -> None:
        self.address = address
        self._allow_unsafe_server = allow_unsafe_server

    def prepare(self) -> None:
        """Check the server, make the schema or bring it up to date.

        Raises:
            StorageUnfit: the server is unsafe, a standby or too old; or the schema is newer.
            psycopg.Error: it cannot be reached.
        """
        link = Link(
            self.address, lock_seconds=_MIGRATION_SECONDS, answer_seconds=_MIGRATION_SECONDS
        )
        try:
            self._check_server(link)
            if self._version(link) < SCHEMA_VERSION:
                self._migrate(link)
        finally:
            link.close()

    def _check_server(self, link: Link) -> None:
        number = link.raw.info.server_version
        if number < _OLDEST_SERVER:
            raise StorageUnfit(
                f"PostgreSQL {number // 10_000} is too old: use 13 or newer, whose tables Headrace"
                " needs"
            )
        safety = read_safety(link)
        if safety.in_recovery or safety.read_only:
            raise StorageUnfit(f"{self.address.shown} is a standby or read-only: name the primary")
        unsafe = [name for name in ("fsync", "full_page_writes") if not getattr(safety, name)]
        if unsafe and not self._allow_unsafe_server:
            raise StorageUnfit(
                f"{self.address.shown} has {' and '.join(unsafe)} off: a power cut may damage all"
                " of its data; turn it on, or set allow_unsafe_server if losing it does not matter"
            )

    def _version(self, link: Link) -> int:
        """Return the schema's version; 0 when it is not there."""
        try:
            rows = link.say("select version, least from headrace.engine where id = 1")
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return 0
        if not rows:
            return 0
        version, least = rows[0]
        if least > SCHEMA_VERSION:
            raise StorageUnfit(
                f"{self.address.shown} has version {version} of the schema, and this Headrace knows"
                f" up to {SCHEMA_VERSION}: upgrade headrace here"
            )
        return int(version)

    def _migrate(self, link: Link) -> None:
        """Bring the schema up to date, all steps in one transaction, one process at a time."""
        link.begin()
        link.say(_LOCK.replace("headrace.", self.address.schema + "."))
        link.say(f'create schema if not exists "{self.address.schema}"')
        link.say("savepoint look")
        try:
            version = self._version(link)  # a rival may have done it meanwhile
        finally:
            link.say("rollback to savepoint look")
        for number in range(version + 1, SCHEMA_VERSION + 1):
            link.say(_migration(number))
        link.say("commit")


@cache
def _migration(number: int) -> str:
    return (_MIGRATIONS / f"{number:04}.sql").read_text(encoding="utf-8")


def read_safety(link: Link) -> Safety:
    """Read back what the server promises."""
    rows: Rows = link.say(
        "select current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',"
        " pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
    )
    return Safety(*rows[0])
