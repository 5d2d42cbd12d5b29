"""The schema in the database: making it, bringing it up to date, refusing what is unfit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg

from headrace.clock import SystemClock
from headrace.config import Config
from headrace.engine import Migration
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import Rows, do
from headrace.engines.postgresql.trouble import first_line, told
from headrace.errors import EngineBusy, StorageUnfit

_OLDEST_SERVER = 130_000
_MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
_MIGRATION_SECONDS = 300.0
_LOCK = "select pg_advisory_xact_lock(hashtextextended('headrace.migration', 0))"
_TABLE_SECONDS = 1.0
"""For which a step may wait for a table: whoever wants the table later waits behind it."""
_PAUSE_SECONDS = 0.5
_PATIENCE_SHARE = 0.8
"""Of the deadline: who stands in the way is told before the caller gives up."""

SCHEMA_VERSION = len(list(_MIGRATIONS.glob("*.sql")))


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
        deadline: seconds for which others that hold what is needed are waited for.
    """

    def __init__(
        self, address: Address, *, allow_unsafe_server: bool, deadline: float = 30.0
    ) -> None:
        self.address = address
        self._allow_unsafe_server = allow_unsafe_server
        self._patience = deadline * _PATIENCE_SHARE
        self._time = SystemClock().monotonic

    def prepare(self) -> None:
        """Check the server, make the schema or bring it up to date.

        Raises:
            EngineBusy: somebody held what it needs for too long; nothing was changed.
            StorageUnfit: the server is unsafe, a standby or too old; or the schema is newer.
            psycopg.Error: it cannot be reached.
        """
        self._visit(self._update)

    def migrate(self, *, check: bool) -> Migration:
        """As `prepare`; tell what was there before, and what is there now.

        Args:
            check: only look.
        """
        found = self._visit(self._version if check else self._update)
        return Migration(
            location=self.address.shown,
            found=found,
            version=found if check else max(found, SCHEMA_VERSION),
            known=SCHEMA_VERSION,
        )

    def _visit(self, work: Callable[[Link], int]) -> int:
        """Return what work says of the schema; repeat it while somebody holds what it needs."""
        until = self._time() + self._patience
        link = Link(self.address, lock_seconds=_TABLE_SECONDS, answer_seconds=_MIGRATION_SECONDS)
        try:
            self._check_server(link)
            while True:
                try:
                    return work(link)
                except psycopg.errors.LockNotAvailable as error:
                    link.rollback()
                    if self._time() + _PAUSE_SECONDS > until:
                        raise self._blocked(link) from error
                # In which those go on who stand behind us.
                threading.Event().wait(_PAUSE_SECONDS)
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
        link.begin()  # with which the limit of waiting begins
        try:
            return self._read_version(link)
        finally:
            link.rollback()

    def _read_version(self, link: Link) -> int:
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

    def _update(self, link: Link) -> int:
        version = self._version(link)
        if version >= SCHEMA_VERSION:
            return version
        try:
            return self._migrate(link)
        except psycopg.errors.InsufficientPrivilege as error:
            raise StorageUnfit(
                f"{self.address.shown} has version {version} of the schema, this Headrace needs"
                f" {SCHEMA_VERSION}, and the role may not change it ({first_line(error)}): run"
                " `headrace migrate` with one that may"
            ) from error

    def _migrate(self, link: Link) -> int:
        """Bring the schema up to date, all steps in one transaction, one process at a time.

        A step that finds a table in use gives all locks back before it tries again: those who work
        with the table must not wait behind us for as long as we wait.
        """
        link.begin()
        link.say(_LOCK.replace("headrace.", self.address.schema + "."))
        schema = self.address.schema
        # Not "if not exists": that asks for the right to make one, even where there is one.
        if not link.ask(("select 1 from pg_namespace where nspname = $1::text", (schema,))):
            link.say(f'create schema "{schema}"')
        link.say("savepoint look")
        try:
            version = self._read_version(link)  # a rival may have done it meanwhile
        finally:
            link.say("rollback to savepoint look")
        for number in range(version + 1, SCHEMA_VERSION + 1):
            link.say(_migration(number))
        link.ask(
            ("update headrace.engine set version = $1::integer where id = 1", (SCHEMA_VERSION,))
        )
        link.say("commit")
        return version

    def _blocked(self, link: Link) -> EngineBusy:
        """Say who stands in the way."""
        rows = link.ask(
            do("schema_holders", f"{self.address.schema}.migration", self.address.schema)
        )
        who = "; ".join(
            f"process {pid} ({name or 'unnamed'}, {state}, for {seconds:.0f} s)"
            for pid, name, state, seconds in rows
        )
        return EngineBusy(
            f"the schema of {self.address.shown} is held by {who or 'somebody'}: nothing was"
            " changed; end that transaction, or try again"
        )


def migrate(config: Config, *, check: bool) -> Migration:
    """Bring the schema of the database that the settings name up to date, or only look at it.

    Raises:
        HeadraceError: as `Database.prepare`, or the server cannot be reached.
    """
    database = Database(
        Address(config.url),
        allow_unsafe_server=config.allow_unsafe_server,
        deadline=config.deadline,
    )
    try:
        return database.migrate(check=check)
    except psycopg.Error as error:
        raise told(error) from error


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
