"""What PostgreSQL's errors mean."""

import re

import asyncpg
import psycopg
import pytest

from headrace.engines.postgresql.trouble import Kind, first_line, kind_of, told, told_to_host
from headrace.errors import (
    DuplicateJob,
    EngineBusy,
    EngineError,
    HeadraceError,
    InvalidOption,
    StorageCorrupt,
    StorageFull,
    StorageUnfit,
    UsageError,
)

errors = psycopg.errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.DeadlockDetected("x"), Kind.REPEAT),
        (errors.SerializationFailure("x"), Kind.REPEAT),
        (errors.AdminShutdown("x"), Kind.AWAY),
        (errors.CannotConnectNow("x"), Kind.AWAY),
        (errors.ReadOnlySqlTransaction("x"), Kind.AWAY),
        (errors.TooManyConnections("x"), Kind.AWAY),
        (psycopg.OperationalError("connection refused"), Kind.AWAY),
        (errors.LockNotAvailable("x"), Kind.REFUSED),
        (errors.UniqueViolation("x"), Kind.REFUSED),
        (DuplicateJob("x", "id"), Kind.REFUSED),
        (LookupError("x"), Kind.REFUSED),
    ],
)
def test_what_is_to_be_done(error: Exception, kind: Kind) -> None:
    assert kind_of(error, lost=False) is kind


def test_whatever_a_lost_connection_says_it_is_away() -> None:
    assert kind_of(psycopg.InterfaceError("x"), lost=True) is Kind.AWAY
    assert kind_of(DuplicateJob("x", "id"), lost=True) is Kind.REFUSED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.DiskFull("x"), StorageFull),
        (errors.LockNotAvailable("x"), EngineBusy),
        (errors.DataCorrupted("x"), StorageCorrupt),
        (errors.InsufficientPrivilege("x"), StorageUnfit),
        (errors.UndefinedTable("x"), EngineError),
        (errors.InvalidTextRepresentation("x"), InvalidOption),
        (psycopg.OperationalError("x"), EngineBusy),
        (errors.CheckViolation("x"), EngineError),
        (LookupError("x"), EngineError),
    ],
)
def test_what_callers_are_told(error: Exception, expected: type[HeadraceError]) -> None:
    assert type(told(error)) is expected


def test_callers_are_told_their_own_errors_and_no_data() -> None:
    refused = DuplicateJob("x", "id")
    assert told(refused) is refused
    assert first_line(ValueError("what\nDETAIL: the whole row")) == "what"
    assert first_line(ValueError()) == "ValueError"


class _Wrapped(Exception):
    """Has a driver's error in it, as SQLAlchemy's errors do."""

    def __init__(self, orig: Exception) -> None:
        super().__init__("wrapped")
        self.orig = orig


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (psycopg.errors.NoActiveSqlTransaction("none"), UsageError, "open one"),
        (asyncpg.InFailedSQLTransactionError("failed"), UsageError, "roll it back"),
        (_Wrapped(psycopg.errors.SerializationFailure("late")), EngineBusy, "repeat all of it"),
        (asyncpg.DeadlockDetectedError("rival"), EngineBusy, "repeat all of it"),
        (psycopg.errors.LockNotAvailable("held"), EngineBusy, "can go on"),
        (asyncpg.DiskFullError("full"), StorageFull, "no room"),
        (asyncpg.UntranslatableCharacterError("NUL"), InvalidOption, "cannot keep"),
        (TimeoutError(), EngineBusy, "time limit"),
        (ValueError("odd"), EngineError, r"it failed \(odd\)"),
    ],
)
def test_callers_are_told_of_their_own_connections(
    error: Exception, kind: type[Exception], words: str
) -> None:
    told = told_to_host(error, "their Connection")
    assert type(told) is kind
    assert re.search(words, str(told))
