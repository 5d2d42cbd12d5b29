"""A stream goes on after the last event, and ends when there is nothing more to come."""

from __future__ import annotations

import pytest

from headrace.client.exchange import Answer
from headrace.client.stream import Stream
from headrace.errors import GatewayError, JobNotFound
from headrace.testing.clock import ManualClock

CUT = Answer(200)
GONE = Answer(0, trouble="refused")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stream(clock: ManualClock) -> Stream:
    return Stream("/v1/jobs/1/events", clock, 45.0, lambda _, before: before + 1.0)


def test_it_goes_on_after_the_last_event(stream: Stream) -> None:
    assert "Last-Event-ID" not in stream.request().headers
    list(stream.feed(b"id: 7\ndata: 1\n\nid: 8\nda"))
    stream.pause(CUT)
    assert stream.request().headers["Last-Event-ID"] == "7"
    assert [event.data for event in stream.feed(b"id: 9\ndata: 2\n\n")] == [2]


def test_it_ends_with_the_event_that_says_so(stream: Stream) -> None:
    list(stream.feed(b"data: 1\n\n"))
    assert not stream.ended
    list(stream.feed(b"event: end\ndata: {}\n\n"))
    assert stream.ended


def test_it_ends_when_there_is_no_content(stream: Stream) -> None:
    assert stream.pause(Answer(204)) == 0
    assert stream.ended


def test_the_server_says_how_soon_to_connect_again(stream: Stream) -> None:
    list(stream.feed(b"retry: 250\n\n"))
    assert stream.pause(CUT) == 0.25


def test_pauses_grow_until_something_comes(stream: Stream) -> None:
    assert [stream.pause(GONE) for _ in range(3)] == [1.0, 2.0, 3.0]
    list(stream.feed(b": still here\n\n"))
    assert stream.pause(GONE) == 1.0


def test_it_is_given_up_when_patience_ends(stream: Stream, clock: ManualClock) -> None:
    stream.pause(GONE)
    clock.advance(50)
    with pytest.raises(GatewayError, match="refused"):
        stream.pause(GONE)


def test_what_will_not_change_ends_it(stream: Stream) -> None:
    with pytest.raises(JobNotFound):
        stream.pause(Answer(404, {}, b'{"type":"/v1/problems/not-found"}'))
