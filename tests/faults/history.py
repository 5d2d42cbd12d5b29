"""A history: what a test's driver and its tasks saw, written down outside the system under test.

One JSON line per event, one write per line, so that any number of processes can append to a file
and SIGKILL loses at most the line being written. An operation is first *invoked*, then it ended
`ok` (it happened), `fail` (it did not happen) or `info` (nobody knows: the process died, or the
engine said so). Taking the third for the second is the classic way to write a test that lies;
the words are Jepsen's (https://github.com/jepsen-io/jepsen, "jepsen.history").
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import msgspec


class Type(StrEnum):
    """What an event says of its operation."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a history.

    Attributes:
        time: monotonic nanoseconds, comparable between the processes of one machine.
        process: the pid that wrote it.
        type: what it says of the operation.
        f: the operation, such as `submit`.
        value: what the operation was about; the checkers say which form they expect.
    """

    time: int
    process: int
    type: Type
    f: str
    value: Any = None


class History:
    """Appends to a history; every process opens its own.

    Args:
        path: the file, made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._file)

    def record(self, kind: Type, f: str, value: object = None) -> None:
        """Append one event."""
        event = Event(time=time.monotonic_ns(), process=os.getpid(), type=kind, f=f, value=value)
        # The line break comes first: a line torn by a kill then spoils no other.
        os.write(self._file, b"\n" + msgspec.json.encode(event))

    @contextmanager
    def operation(
        self, f: str, value: object = None, *, refused: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """Record an operation: `ok` at its end, `fail` for `refused` errors, `info` for others.

        The errors pass through.
        """
        self.record(Type.INVOKE, f, value)
        try:
            yield
        except BaseException as error:
            self.record(Type.FAIL if isinstance(error, refused) else Type.INFO, f, value)
            raise
        self.record(Type.OK, f, value)


def read(path: Path, skip: int = 0) -> list[Event]:
    """Return the events of a history in the order in which they were written.

    Lines that a killed process left unfinished are left out.

    Args:
        path: the file.
        skip: how many of its bytes; a size that it had before begins with whole lines.
    """
    events = []
    with path.open("rb") as file:
        file.seek(skip)
        text = file.read()
    for line in text.split(b"\n"):
        try:
            events.append(msgspec.json.decode(line, type=Event))
        except msgspec.ValidationError:  # whole, but no event: nobody was killed here
            raise
        except msgspec.DecodeError:
            continue
    return events
