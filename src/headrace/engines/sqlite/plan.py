"""A plan: what a call does to the database, thought out without I/O.

A plan is a generator. It yields statements, is sent their rows, and returns an answer; whoever
runs it decides on which connection and in which transaction. A batch crosses into SQLite as one
array or JSON document and one statement: SQLite works on it without the interpreter lock, which a
thread that binds row by row would have to win back, against a busy event loop, for every row.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

T = TypeVar("T")

Statement = tuple[str, tuple[Any, ...]]
Rows = list[tuple[Any, ...]]
Plan = Generator[Statement, Rows, T]

Violated = apsw.ConstraintError
"""Thrown into a plan whose statement broke a constraint, and was undone."""

_SQL = Path(__file__).parent / "sql"
_encode = msgspec.json.Encoder().encode


@cache
def sql(name: str) -> str:
    """Return the text of `sql/NAME.sql`."""
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def do(name: str, *parameters: Any) -> Statement:
    """Return the statement `sql/NAME.sql` with its parameters."""
    return sql(name), parameters


def document(values: Any) -> str:
    """Return a batch as the JSON document that a statement takes apart."""
    return _encode(values).decode()


def texts(values: Sequence[str]) -> object:
    """Return a batch of texts as a statement takes it by `carray(?)`: without NUL, not empty."""
    return apsw.carray(tuple(values))


def numbers(values: Sequence[int]) -> object:
    """Return a batch of whole numbers as a statement takes it by `carray(?)`."""
    return apsw.carray(array("q", values))


def digits(values: Iterable[int]) -> bytes:
    """Return numbers as a column of 20 digits each, for what stands beside the rows of a carray."""
    numbers = tuple(values)
    return ("%020d" * len(numbers) % numbers).encode()


def run(connection: apsw.Connection, plan: Plan[T]) -> T:
    """Run a plan on a connection, within whatever transaction is open there."""
    try:
        statement = next(plan)
        while True:
            try:
                rows = connection.execute(*statement).fetchall()
            except Violated as error:
                statement = plan.throw(error)
            else:
                statement = plan.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer
