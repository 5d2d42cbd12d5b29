"""What PostgreSQL's errors mean: to the engine, which may try again, and to callers."""

from __future__ import annotations

from enum import Enum, auto

import psycopg

from headrace.errors import (
    EngineBusy,
    EngineError,
    HeadraceError,
    InvalidOption,
    StorageCorrupt,
    StorageFull,
    StorageUnfit,
    UsageError,
)

# https://www.postgresql.org/docs/15/errcodes-appendix.html
_REPEAT = frozenset({"40001", "40P01"})
_AWAY = frozenset(
    {
        "25006",  # read-only: a standby by now
        "25P03",  # idle for too long in a transaction: we were suspended
        "57P01",  # shutting down
        "57P02",
        "57P03",
        "57P05",
        "53300",  # too many connections
    }
)
_TOLD: tuple[tuple[tuple[str, ...], type[HeadraceError], str], ...] = (
    (("53100", "53200"), StorageFull, "the server has no room ({}): nothing was written"),
    (
        ("55P03", "57014"),
        EngineBusy,
        "a rival held what was needed ({}): nothing was written; try again",
    ),
    (
        ("XX001", "XX002"),
        StorageCorrupt,
        "the database is damaged ({}): stop, and restore a backup",
    ),
    (
        ("42501",),
        StorageUnfit,
        "the database role may not do this ({}): grant it, or use another",
    ),
    (("3F000", "42P01"), EngineError, "the schema is not there ({}): open the engine again"),
)
_BUSY = "a rival held what was needed ({}): nothing was submitted; the transaction can go on"
_TOLD_TO_HOST: tuple[tuple[tuple[str, ...], type[HeadraceError], str], ...] = (
    (("25P01",), UsageError, "no transaction is open on it ({}): open one, and submit within it"),
    (("25P02",), UsageError, "its transaction has failed before ({}): roll it back, and repeat it"),
    (("25006",), UsageError, "its transaction only reads ({}): open one that writes"),
    (
        ("40001", "40P01"),
        EngineBusy,
        "a rival was faster ({}): roll the transaction back, and repeat all of it",
    ),
    (("55P03", "57014"), EngineBusy, _BUSY),
    (("53100", "53200"), StorageFull, "the server has no room ({}): nothing was submitted"),
    (
        ("42501",),
        StorageUnfit,
        "its role may not use Headrace's tables ({}): grant it the privileges, or use another role",
    ),
    (("3F000", "42P01"), EngineError, "Headrace's schema is not there ({}): open the engine again"),
)


class Kind(Enum):
    """What to do about an error."""

    AWAY = auto()
    """The server is not there, or not for us: connect anew, and repeat the transaction."""
    REPEAT = auto()
    """Rivals stood in each other's way: repeat the transaction."""
    REFUSED = auto()
    """Tell whoever asked for it."""


def kind_of(error: BaseException, *, lost: bool) -> Kind:
    """Return what to do about an error.

    Args:
        error: what was raised.
        lost: whether the connection is lost.
    """
    if isinstance(error, HeadraceError):
        return Kind.REFUSED
    state = _state(error)
    if lost or state in _AWAY or state.startswith("08"):
        return Kind.AWAY
    if state in _REPEAT:
        return Kind.REPEAT
    if isinstance(error, psycopg.OperationalError) and not state:
        return Kind.AWAY
    return Kind.REFUSED


def _state(error: BaseException) -> str:
    return (getattr(error, "sqlstate", None) or "") if isinstance(error, psycopg.Error) else ""


def told(error: BaseException) -> HeadraceError:
    """Return what callers are told of a transaction that was rolled back."""
    if isinstance(error, HeadraceError):
        return error
    words = first_line(error)
    state = _state(error)
    for states, kind, text in _TOLD:
        if state in states:
            return kind(text.format(words))
    if isinstance(error, psycopg.DataError):
        return InvalidOption(f"PostgreSQL cannot keep this ({words}): nothing was written")
    if isinstance(error, psycopg.OperationalError):
        return EngineBusy(f"the server is away ({words}): nothing was written; try again")
    what = f"PostgreSQL: {words}" if isinstance(error, psycopg.Error) else f"unexpected: {error!r}"
    return EngineError(f"{what}; nothing was written")


def told_to_host(error: BaseException, name: str) -> HeadraceError:
    """Return what callers are told whose own connection failed, whatever its driver.

    Args:
        error: what was raised.
        name: what the connection is.
    """
    wrapped = (error, getattr(error, "orig", None), error.__cause__)
    states = (getattr(one, "sqlstate", None) for one in wrapped)
    state = next((one for one in states if isinstance(one, str)), "")
    words = first_line(error)
    for known, kind, text in _TOLD_TO_HOST:
        if state in known:
            return kind(f"{name}: {text.format(words)}")
    if state.startswith("22"):
        return InvalidOption(f"PostgreSQL cannot keep this ({words}): nothing was submitted")
    if isinstance(error, TimeoutError):
        return EngineBusy(f"{name}: {_BUSY.format('its own time limit')}")
    return EngineError(f"{name}: it failed ({words}): nothing was submitted")


def first_line(error: BaseException) -> str:
    """Return what an error says, without the statement and its data."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
