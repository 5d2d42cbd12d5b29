"""Intake: where calls become jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from headrace.clock import Clock
from headrace.engine import Engine, Tx
from headrace.errors import OutcomeUnknown, QueueFull, UsageError
from headrace.ids import Ids
from headrace.job import Job
from headrace.message import Message
from headrace.reply import Reply
from headrace.task import Call
from headrace.telemetry import Sending, Telemetry
from headrace.trace import Origin, beginning, marked, of, origin
from headrace.watcher import Watcher
from headrace.write import Send, Sent, Write

Jobs = list[Job[Any]]
Companion = Callable[[Engine, Sequence[Message]], Sequence[Write[Any]]]
"""Says what is to be written beside new jobs, in the same commit. It must not wait."""

_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5


class Intake:
    """Sends calls to an engine.

    Args:
        engine: what keeps the jobs.
        watcher: tells the jobs' submitters when they are finished.
        ids: names the jobs.
        clock: tells how long a submit has waited for room.
        telemetry: told what is sent.
        companions: say what is to be written beside the jobs.
    """

    def __init__(
        self,
        engine: Engine,
        watcher: Watcher,
        ids: Ids,
        clock: Clock,
        telemetry: Telemetry,
        companions: Sequence[Companion] = (),
    ) -> None:
        self.engine = engine
        self.watcher = watcher
        self.ids = ids
        self.clock = clock
        self.telemetry = telemetry
        self._companions = companions

    def send(
        self, calls: Sequence[Call[Any]], tx: object | None = None
    ) -> tuple[Reply[Sent], Jobs]:
        """Send calls, all or none of them, and return the engine's reply and the jobs to be.

        Args:
            calls: what to send.
            tx: the transaction it is a part of: the engine's own, or that of a connection.

        Raises:
            UsageError: the engine cannot join that transaction.
        """
        adopted = None if tx is None else self.engine.adopt(tx)
        named: list[Message] = []
        jobs: Jobs = []
        for call, job_id in zip(calls, self.ids.job_ids(len(calls)), strict=True):
            named.append(call.message(job_id))
            jobs.append(Job(job_id, self.watcher, call.task.returns))
        messages, telemetry = tuple(named), self.telemetry
        if not (telemetry.heard or telemetry.tracer or origin()):  # nobody would know of it
            return self._write(messages, adopted), jobs
        parcel = self.pack(messages)
        reply = self._write(parcel.messages, adopted)
        parcel.follow(reply)
        return reply, jobs

    def pack(self, messages: tuple[Message, ...]) -> Parcel:
        """Return messages as they are to be sent: they carry the trace that they are a part of.

        Whoever makes messages, and commits them with other writes, packs them before, and lets the
        parcel follow the engine's reply.
        """
        come_from, telemetry = origin(), self.telemetry
        if come_from is None and telemetry.tracer is None:
            return Parcel(messages, telemetry, self.clock)
        return self._traced(messages, come_from or Origin())

    def beside(self, messages: Sequence[Message]) -> list[Write[Any]]:
        """Return what must be written in the commit that sends these messages."""
        return [write for each in self._companions for write in each(self.engine, messages)]

    def _write(self, messages: tuple[Message, ...], tx: Tx | None) -> Reply[Sent]:
        if beside := self.beside(messages):
            return self.engine.commit([Send(messages), *beside], tx).map(_first)
        return self.engine.apply(Send(messages), tx)

    def _traced(self, messages: tuple[Message, ...], come_from: Origin) -> Parcel:
        tracer = self.telemetry.tracer
        sending = None if tracer is None else tracer(messages, come_from.trace)
        place = None if sending is None else sending.trace
        if place is None and come_from.trace is not None:
            place = come_from.trace.child(self.ids)
        elif place is None and len(messages) > 1:
            place = beginning(messages[0].id)  # they came together
        packed = tuple(
            [
                marked(message, place if message.trace is None else of(message), come_from)
                for message in messages
            ]
        )
        return Parcel(packed, self.telemetry, self.clock, sending)


class Parcel:
    """Messages that are about to be sent.

    Args:
        messages: the messages.
        telemetry: told what became of them.
        clock: tells how long that took.
        sending: traces them.

    Attributes:
        messages: the messages.
    """

    __slots__ = ("_began", "_clock", "_sending", "_telemetry", "messages")

    def __init__(
        self,
        messages: tuple[Message, ...],
        telemetry: Telemetry,
        clock: Clock,
        sending: Sending | None = None,
    ) -> None:
        self.messages = messages
        self._telemetry = telemetry
        self._clock = clock
        self._sending = sending
        self._began = clock.monotonic() if telemetry.heard else 0.0

    def follow(self, reply: Reply[Any]) -> None:
        """Have it noted what the engine answers."""
        if self._sending is not None or self._telemetry.heard:
            reply.listen(self._answered)

    def _answered(self, reply: Reply[Any]) -> None:
        if self._sending is not None:
            self._sending.end(reply.error)
        seconds = self._clock.monotonic() - self._began
        self._telemetry.event(
            "jobs.sent", messages=self.messages, error=reply.error, seconds=seconds
        )


class Submission:
    """The calls of one submit, which may have to be sent again until there is room for them.

    Args:
        calls: what is submitted.
        tx: a transaction that it is a part of; the calls' own options may name it as well.

    Raises:
        UsageError: something else than calls, or several transactions.
    """

    def __init__(self, calls: Iterable[Call[Any]], tx: object | None) -> None:
        if isinstance(calls, Call):
            raise UsageError("submit takes a list of calls: app.submit([task.call(...)])")
        self.calls = tuple(calls)
        joined = {} if tx is None else {id(tx): tx}
        for call in self.calls:
            if not isinstance(call, Call):
                raise UsageError(f"submit takes calls, as task.call(...) gives, not {call!r:.100}")
            if (named := call.task.options.tx) is not None:
                joined[id(named)] = named
        if len(joined) > 1:
            raise UsageError("the calls name several transactions; submit them one by one")
        self.tx = _inner(*joined.values()) if joined else None
        self._until: float | None = None

    def pause(self, full: QueueFull, intake: Intake) -> float:
        """Return the seconds until it should be tried again.

        Raises:
            QueueFull: the calls wait no longer, or hold up a transaction meanwhile.
        """
        now = intake.clock.monotonic()
        if self._until is None:
            longest = max(call.task.options.wait for call in self.calls)
            self._until = now + (longest if self.tx is None else 0.0)
        left = self._until - now
        if left <= 0:
            raise full
        # Spread, so that those who wait for the same room do not all come at once.
        likely = full.retry_after * (0.5 + intake.ids.fraction())
        return min(max(likely, _SHORTEST_PAUSE), _LONGEST_PAUSE, left)


def unknown(jobs: Jobs) -> OutcomeUnknown:
    """Return what a submit raises when it has waited for the engine's answer in vain."""
    return OutcomeUnknown(
        f"the engine did not say in time whether {len(jobs)} jobs were accepted:"
        " app.job(id) tells, later",
        [job.id for job in jobs],
    )


def _first(answers: tuple[Any, ...]) -> Sent:
    sent: Sent = answers[0]
    return sent


def _inner(tx: object) -> object:
    # A task's transaction block is not the engine's transaction, but has it.
    return getattr(tx, "tx", tx)
