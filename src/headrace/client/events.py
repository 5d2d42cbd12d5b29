"""Events: a stream of Server-Sent Events, read as the HTML standard says (§9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LONGEST = 4 * 1024 * 1024
"""Bytes that a stream may send without an end of line."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a job.

    Attributes:
        type: such as "snapshot", "state", "progress" or "end".
        data: what is told, as plain data.
        id: what to go on after.
    """

    type: str
    data: Any
    id: str = ""


class EventReader:
    """Makes events of the bytes that arrive.

    Attributes:
        last_id: the id of the last event; whoever connects again says it.
        retry: seconds to wait before that, if the server said so.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: float | None = None
        self._rest = b""
        self._type = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take in some bytes and yield the events that they complete.

        Raises:
            ValueError: a line has no end.
        """
        self._rest += chunk
        # A CR at the end may be half of a CRLF.
        complete = self._rest[:-1] if self._rest.endswith(b"\r") else self._rest
        lines = _LINE_END.split(complete)
        self._rest = lines.pop() + self._rest[len(complete) :]
        if len(self._rest) > _LONGEST:
            raise ValueError("the stream of events has a line without an end")
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                yield event

    def restart(self) -> None:
        """Forget what is incomplete: the connection was cut in the middle of it."""
        self._rest, self._type, self._data, self._id = b"", "", [], self.last_id

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000
        return None

    def _dispatch(self) -> Event | None:
        kind, data = self._type or "message", self._data
        self._type, self._data, self.last_id = "", [], self._id
        if not data:
            return None
        return Event(kind, msgspec.json.decode("\n".join(data)), self.last_id)
