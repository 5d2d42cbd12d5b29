"""A stream of events is read as the HTML standard says, wherever it is cut."""

from __future__ import annotations

import pytest

from headrace.client import events
from headrace.client.events import Event, EventReader

STREAM = (
    b": hello\r\n\r\n"
    b'id: 1\nevent: state\ndata: {"state":\ndata:"ready"}\n\n'
    b"retry: 2500\rdata: 1\r\r"
    b"event: nothing\n\n"
    b'id: 2\ndata:  "\xc3\xa4"\n\n'
)
EVENTS = [
    Event("state", {"state": "ready"}, "1"),
    Event("message", 1, "1"),
    Event("message", "ä", "2"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_they_arrive(size: int) -> None:
    reader = EventReader()
    chunks = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [event for chunk in chunks for event in reader.feed(chunk)] == EVENTS
    assert (reader.last_id, reader.retry) == ("2", 2.5)


def test_what_is_incomplete_is_forgotten_when_the_connection_is_cut() -> None:
    reader = EventReader()
    assert list(reader.feed(b"id: 7\ndata: 1\n\ndata: {")) == [Event("message", 1, "7")]
    reader.restart()
    assert list(reader.feed(b"data: 2\n\n")) == [Event("message", 2, "7")]


def test_an_id_with_a_nul_and_a_strange_retry_are_passed_over() -> None:
    reader = EventReader()
    list(reader.feed(b"id: 1\nretry: soon\n\nid: a\0b\n\n"))
    assert (reader.last_id, reader.retry) == ("1", None)


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_LONGEST", 10)
    with pytest.raises(ValueError, match="without an end"):
        list(EventReader().feed(b"data: 0123456789"))
