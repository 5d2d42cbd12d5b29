"""Home: what guests in others' transactions need to know of their own database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from headrace.engine import Topic
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.plan import Moment, Plan, do, make_queues
from headrace.reply import Reply


class Place(NamedTuple):
    """A database of a running server, told from all others.

    Attributes:
        database: its number.
        started: when the server was started, in microseconds since 1970.
    """

    database: int
    started: int


class Home:
    """The database of an engine, as its guests see it.

    Args:
        address: where it is.
        deadline: seconds that anything may take.
        moment: makes what plans go by of the server's seconds.
        write: commits a plan in a transaction of the engine's own.
        expect: gives hints about topics when a transaction, named by its number, is committed.
    """

    def __init__(
        self,
        address: Address,
        deadline: float,
        moment: Callable[[float], Moment],
        write: Callable[[Callable[[Moment], Plan[Any]]], Reply[Any]],
        expect: Callable[[str, Iterable[Topic]], None],
    ) -> None:
        self.address = address
        self.deadline = deadline
        self.moment = moment
        self.expect = expect
        self._write = write
        self._place: Place | None = None
        self._queues: set[str] = set()

    def place(self, queues: Sequence[str] = (), *, anew: bool = False) -> Reply[Place]:
        """Return which database it is, and see to it that queues are known there.

        A queue that a guest made would keep everybody who uses it for the first time, too, waiting
        for the end of the guest's transaction.

        Args:
            queues: their names.
            anew: whether to ask again: the server may have been started anew.
        """
        new = [name for name in sorted(set(queues)) if name not in self._queues]
        if self._place is not None and not new and not anew:
            return Reply.of(self._place)

        def learn(place: Place) -> Place:
            self._place = place
            self._queues.update(new)
            return place

        return self._write(lambda moment: _settle_in(new, moment)).map(learn)


def _settle_in(queues: Sequence[str], moment: Moment) -> Plan[Place]:
    yield from make_queues(queues, moment)
    ((_, *here, _),) = yield do("guest_enter")
    return Place(*here)
