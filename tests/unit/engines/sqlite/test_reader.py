"""The one reader of a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.reader import Reader
from headrace.errors import EngineBusy, EngineClosed
from headrace.reply import Reply
from headrace.testing.steps import PATIENCE


class Connects:
    """Opens connections and remembers them."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, "crash")
        self._database.prepare("boot")
        self.made: list[apsw.Connection] = []

    def __call__(self) -> apsw.Connection:
        self.made.append(self._database.connect())
        return self.made[-1]


@pytest.fixture
def connects(path: Path) -> Connects:
    return Connects(path)


@pytest.fixture
def reader(connects: Connects) -> Iterator[Reader]:
    reader = Reader(connects)
    reader.start()
    yield reader
    reader.close()


def count(connection: apsw.Connection) -> int:
    return int(connection.execute("select count(*) from headrace_job").get)


def test_it_connects_once_at_the_first_question(reader: Reader, connects: Connects) -> None:
    assert connects.made == []
    assert [reader.look(count).wait(PATIENCE) for _ in range(3)] == [0, 0, 0]
    assert len(connects.made) == 1


def test_it_leaves_when_told_and_comes_back_when_asked(reader: Reader, connects: Connects) -> None:
    reader.leave()
    reader.look(count).wait(PATIENCE)
    reader.leave()
    assert reader.look(count).wait(PATIENCE) == 0
    assert len(connects.made) == 2
    with pytest.raises(apsw.ConnectionClosedError):
        count(connects.made[0])


def test_errors_are_told_to_whoever_asked(reader: Reader) -> None:
    def fail(_: apsw.Connection) -> int:
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        reader.look(fail).wait(PATIENCE)

    def busy(_: apsw.Connection) -> int:
        raise apsw.BusyError("locked")

    with pytest.raises(EngineBusy):
        reader.look(busy).wait(PATIENCE)
    assert reader.look(count).wait(PATIENCE) == 0


def test_what_was_asked_before_the_end_is_answered(reader: Reader) -> None:
    going_on = threading.Event()

    def slow(connection: apsw.Connection) -> int:
        going_on.wait(PATIENCE)
        return count(connection)

    replies = [reader.look(slow) for _ in range(5)]
    closing = threading.Thread(target=reader.close)
    closing.start()
    going_on.set()
    assert [reply.wait(PATIENCE) for reply in replies] == [0] * 5
    closing.join()
    with pytest.raises(EngineClosed):
        reader.look(count).wait(PATIENCE)


def test_nobody_who_asks_while_it_ends_waits_for_ever(connects: Connects) -> None:
    for _ in range(20):
        reader = Reader(connects)
        reader.start()
        replies: list[Reply[int]] = []
        asking = threading.Thread(
            target=lambda to=reader, into=replies: into.extend(to.look(count) for _ in range(50))
        )
        asking.start()
        reader.close()
        asking.join()
        for reply in replies:
            try:
                assert reply.wait(PATIENCE) == 0
            except EngineClosed:
                continue
