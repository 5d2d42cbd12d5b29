"""A plan: what a call does to the database, thought out without I/O.

A plan is a generator. It yields statements, is sent their rows, and returns an answer; whoever
runs it decides on which connection and in which transaction. A batch travels as one JSON document,
or as one array spelled as text, which any driver passes on.

Rivals write at the same time, each statement sees what is committed when it begins (READ
COMMITTED), and two rules keep plans right:

- Who moves a job takes its row out of the table it is in, and goes on only with what it got.
- Locks are taken in one order: limited queues, unique keys, groups of order keys, then jobs by seq.
  A deadlock that comes about all the same, between plans that share a transaction, ends it, and the
  whole transaction is repeated with plans made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")

Statement = tuple[str, tuple[Any, ...]]
Rows = list[tuple[Any, ...]]
Plan = Generator[Statement, Rows, T]
Ask = Callable[[Statement], Rows]

_SQL = Path(__file__).parent / "sql"
_encode = msgspec.json.Encoder().encode


class Moment(NamedTuple):
    """What the time is, in seconds.

    Attributes:
        now: since 1970 UTC.
        steady: what leases are measured by; the server has but one clock, so there it is the same.
    """

    now: float
    steady: float


class NewQueues(Exception):
    """Queues are not known yet: make them in a transaction of their own, and repeat the plan.

    Made by a transaction that goes on, they would keep everybody waiting who uses them for the
    first time, too.

    Attributes:
        names: of all queues that the plan is about.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(", ".join(names))
        self.names = tuple(names)


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


def array(numbers: Iterable[int]) -> str:
    """Return numbers as the text of an array."""
    return "{" + document(list(numbers))[1:-1] + "}"


def texts(words: Iterable[str]) -> str:
    """Return plain words as the text of an array; they must need no quotes."""
    return "{" + ",".join(words) + "}"


def make_queues(names: Iterable[str], moment: Moment) -> Plan[None]:
    """Make queues, unless they are there."""
    for name in sorted(set(names)):
        yield do("queue_new", name, moment.now)


def run(ask: Ask, plan: Plan[T]) -> T:
    """Run a plan, within whatever transaction is open where its statements are asked."""
    try:
        statement = next(plan)
        while True:
            statement = plan.send(ask(statement))
    except StopIteration as end:
        answer: T = end.value
        return answer
