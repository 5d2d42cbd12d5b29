"""Telemetry: what happens, told to whoever listens; the other of two ways to extend Headrace.

It knows no vendor: logs, metrics and traces are subscribers. It costs next to nothing when there
are none. Every App and every worker is given its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from headrace.callers import telling
from headrace.message import Message
from headrace.trace import Trace

_log = logging.getLogger("headrace")

Subscriber = Callable[[str, Mapping[str, Any]], object]


class Sending(Protocol):
    """A submit that is under way, as somebody traces it."""

    @property
    def trace(self) -> Trace | None:
        """Its place, which its jobs carry; None if it is not recorded."""
        ...

    def end(self, error: BaseException | None) -> None:
        """Note the engine's answer: an error, or that the jobs are accepted."""
        ...


Tracer = Callable[[Sequence[Message], Trace | None], Sending]
"""Called when messages are about to be sent, with the place that they are sent from."""


class Telemetry:
    """Passes events on to subscribers.

    Attributes:
        tracer: traces submits; None: nobody does.
        heard: whether anybody listens: events that are many are only made then.
    """

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()
        self.tracer: Tracer | None = None
        self.heard = False

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber(name, fields)` at every event, in the thread where it happens.

        It should be quick, and cannot call what waits, such as `submit`: the thread may be the one
        that would have to answer. Its exceptions are logged and harm nobody else.

        Returns:
            A function that ends the subscription.
        """

        def unsubscribe() -> None:
            self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)
            self.heard = bool(self._subscribers)

        self._subscribers = (*self._subscribers, subscriber)
        self.heard = True
        return unsubscribe

    def event(self, name: str, **fields: Any) -> None:
        """Tell that something happened.

        Args:
            name: what, such as `"jobs.settled"`.
            fields: the details.
        """
        for subscriber in self._subscribers:
            try:
                with telling():
                    subscriber(name, fields)
            except Exception:  # noqa: BLE001 - it is logged; telemetry must not break work
                _log.exception("the subscriber %r failed at the event %r", subscriber, name)
