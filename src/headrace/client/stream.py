"""Stream: a job's events over as many connections as it takes, each going on after the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headrace.client.events import Event, EventReader
from headrace.client.exchange import Answer, Request
from headrace.client.refusal import refusal
from headrace.clock import Clock

_NO_CONTENT = 204
_SILENCE = 45.0
"""Seconds without a word after which a connection is dead: a gateway says something every 15."""
_AGAIN = frozenset({0, 200, 429, 502, 503, 504})


class Stream:
    """What is known of a stream between its connections.

    Args:
        path: where the events are.
        clock: tells how long nothing has come.
        patience: seconds of failures in a row after which it is given up.
        pause: from an answer and the pause before to the next pause.

    Attributes:
        ended: whether nothing more will happen to the job.
    """

    def __init__(
        self, path: str, clock: Clock, patience: float, pause: Callable[[Answer, float], float]
    ) -> None:
        self.ended = False
        self._path = path
        self._clock = clock
        self._patience = patience
        self._next_pause = pause
        self._pause = 0.0
        self._failing_since: float | None = None
        self._reader = EventReader()

    def request(self) -> Request:
        """Return the request that goes on after the last event."""
        headers = {"Accept": "text/event-stream"}
        if self._reader.last_id:
            headers["Last-Event-ID"] = self._reader.last_id
        return Request(method="GET", path=self._path, headers=headers, patience=_SILENCE)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take in some bytes and yield the events that they complete."""
        self._failing_since, self._pause = None, 0.0
        for event in self._reader.feed(chunk):
            self.ended = self.ended or event.type == "end"
            yield event

    def pause(self, answer: Answer) -> float:
        """Return the seconds until the next connection.

        Args:
            answer: what the last one came to; status 200 if it was cut.

        Raises:
            JobNotFound: there is no such job.
            GatewayError: the gateway does not answer, or says no.
        """
        self._reader.restart()
        if answer.status == _NO_CONTENT:
            self.ended = True
            return 0.0
        if answer.status == 200 and self._reader.retry is not None:  # noqa: PLR2004 - OK
            self._pause = self._reader.retry
        else:
            self._pause = self._next_pause(answer, self._pause)
        now = self._clock.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        too_late = now + self._pause > self._failing_since + self._patience
        if too_late or answer.status not in _AGAIN:
            raise refusal(answer)
        return self._pause
