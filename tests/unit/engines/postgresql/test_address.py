"""A URL says where a database is, and never tells the password again."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from headrace.engines.postgresql.address import Address
from headrace.errors import ConfigError


def test_what_is_not_said_has_defaults_that_notice_a_dead_peer() -> None:
    address = Address("postgresql://me:secret@db.example:5433/jobs")
    told = conninfo_to_dict(address.conninfo)
    assert address.schema == "headrace"
    assert (told["host"], told["port"], told["dbname"]) == ("db.example", "5433", "jobs")
    assert "secret" in told.values()
    assert told["target_session_attrs"] == "read-write"
    assert {"tcp_user_timeout", "keepalives_idle", "connect_timeout"} <= told.keys()


def test_what_is_said_wins() -> None:
    told = conninfo_to_dict(Address("postgres://h/d?connect_timeout=1&sslmode=require").conninfo)
    assert (told["connect_timeout"], told["sslmode"]) == ("1", "require")


def test_the_schema_is_ours_and_not_libpqs() -> None:
    address = Address("postgresql://h/d?schema=other&sslmode=disable")
    assert address.schema == "other"
    assert "schema" not in conninfo_to_dict(address.conninfo)


@pytest.mark.parametrize("schema", ["", "Upper", "pg_jobs", 'a"b', "x" * 64, "a;b"])
def test_a_schema_that_needs_quotes_is_refused(schema: str) -> None:
    with pytest.raises(ConfigError, match="lower-case"):
        Address(f"postgresql://h/d?schema={schema}")


def test_no_password_is_shown() -> None:
    address = Address("postgresql://me:secret@h/d?password=secret")
    assert "secret" not in repr(address) + address.shown
    with pytest.raises(ConfigError) as refused:
        Address("postgresql://me:sec%ret@h/d?nonsense=secret")
    assert "ret@" not in str(refused.value)
