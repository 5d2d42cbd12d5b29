"""A seeded mix of everything that changes a job, with a history of what was asked and told.

Several requests are under way at a time, so that group commits happen; every answer is recorded in
the thread and at the moment in which the engine gives it. The words are those of `checkers`, and
`change`: jobs that were to be cancelled or retried, and `put`: an entry's `key` and `version`.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Protocol

import msgspec

from headrace.engine import Engine
from headrace.errors import HeadraceError, OutcomeUnknown
from headrace.ids import Ids
from headrace.message import VERSION, Message
from headrace.record import Failure, QueueLimits, State
from headrace.reply import Reply
from headrace.write import (
    CancelJobs,
    Extend,
    Lease,
    LimitQueue,
    Put,
    Reclaim,
    RetryJobs,
    Send,
    Settle,
    Settled,
    Settlement,
    Stored,
    Write,
)
from tests.faults.history import Type

QUEUES = ("default", "mail", "narrow")
PATIENCE = 60.0
"""Seconds after which an answer is taken for one that never comes."""

BOOM = Failure(cause="error", message="it failed on purpose")

# Key, kind and value of an event: what is asked for, and what becomes of it when it is answered.
Asked = tuple[str, Any]


class Recorder(Protocol):
    """Where events go: a `History`, or something that knows other moments."""

    def record(self, kind: Type, f: str, value: object = None) -> None: ...


class Workload:
    """Drives one engine, as submitter, worker and operator at once.

    Args:
        engine: an open engine.
        recorder: where the history goes.
        seed: the same seed asks for the same things, as long as the answers are the same.
        holder: the worker's name.
        seconds: how long its leases last.
        ticks: the monotonic nanoseconds of the history.
    """

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        *,
        seed: int,
        holder: str = "worker",
        seconds: float = 30.0,
        ticks: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._engine = engine
        self._recorder = recorder
        self._rng = Random(f"{holder} {seed}")
        self._ids = Ids(seed=self._rng.getrandbits(64))
        self._holder = holder
        self._seconds = seconds
        self._ticks = ticks
        self._held: list[Lease] = []
        self._stale: list[Lease] = []
        self._sent: list[str] = []

    def prepare(self) -> None:
        """Give one queue a limit, so that sends are refused at times."""
        limit = LimitQueue("narrow", QueueLimits(max_depth=25))
        self._engine.apply(limit).wait(PATIENCE)

    def step(self) -> list[BaseException]:
        """Ask for a few things at once and wait for the answers; return the errors among them."""
        verbs: Sequence[Callable[[], Iterable[Reply[Any]]]] = (
            *(self._send, self._send, self._claim, self._settle, self._settle),
            *(self._send_with_entry, self._extend, self._put, self._change, self._give_up),
        )
        chosen = self._rng.choices(verbs, k=self._rng.randint(1, 4))
        replies = [reply for verb in chosen for reply in verb()]
        return [error for reply in replies if (error := answer_of(reply)) is not None]

    def submit(self) -> BaseException | None:
        """Send one small batch and wait for the answer; return its error."""
        (reply,) = self._send()
        return answer_of(reply)

    # Submitting -----------------------------------------------------------------------------------

    def _send(self) -> Iterable[Reply[Any]]:
        messages = self._messages(self._rng.choice((1, 1, 2, 5, 20)))
        return [self._ask(self._engine.apply, Send(messages), [("submit", _ids(messages))])]

    def _send_with_entry(self) -> Iterable[Reply[Any]]:
        """Send, put and perhaps settle in one commit: all of it happens or nothing."""
        messages = self._messages(3)
        key = witness(messages[0].id)
        asked: list[Asked] = [("submit", _ids(messages)), ("put", {"key": key, "version": 1})]
        writes: list[Write[Any]] = [Send(messages), Put(key, b"1", expect=0)]
        if self._held:
            last = self._settlement(self._held.pop(), State.SUCCEEDED)
            writes.append(Settle((last,), strict=True))
            asked.append(("settle", self._told(last)))
        return [self._ask(self._engine.commit, writes, asked)]

    def _messages(self, count: int) -> tuple[Message, ...]:
        messages = tuple(self._message(job_id) for job_id in self._ids.job_ids(count))
        self._sent += _ids(messages)
        return messages

    def _message(self, job_id: str) -> Message:
        rng = self._rng
        body = b'{"pad":"%s"}' % (b"x" * rng.choice((0, 10, 100, 3000)))
        fields: dict[str, Any] = {"queue": rng.choice(QUEUES), "priority": rng.choice((0, 0, 7))}
        if rng.random() < 0.3:
            fields["order_key"] = f"order-{rng.randint(1, 4)}"
            fields["order_on_wait"] = rng.choice(("hold", "skip"))
        if rng.random() < 0.1:
            fields["unique_key"] = f"unique-{rng.randint(1, 60)}"
            fields["on_conflict"] = rng.choice(("reject", "replace"))
        if rng.random() < 0.2:
            fields["delay"] = rng.choice((0.01, 60.0))
        if rng.random() < 0.1:
            fields["expires_after"] = rng.choice((0.05, 600.0))
        if rng.random() < 0.1:
            fields["tags"] = ("blue", rng.choice(("red", "green")))
        return Message(v=VERSION, id=job_id, task="noop", body=msgspec.Raw(body), **fields)

    # Working --------------------------------------------------------------------------------------

    def _claim(self) -> Iterable[Reply[Any]]:
        since = self._ticks()
        limit = self._rng.choice((1, 4, 12))
        reply = self._engine.lease(QUEUES, limit=limit, seconds=self._seconds, holder=self._holder)

        def note(answered: Reply[Any]) -> None:
            for lease in () if answered.error else answered.wait():
                value = {"job": lease.job_id, "token": lease.token, "since": since}
                self._recorder.record(Type.OK, "claim", value | {"seconds": self._seconds})
                self._recorder.record(Type.INVOKE, "run", lease.job_id)

        reply.listen(note)
        if answer_of(reply) is None:
            self._held += reply.wait()
        return [reply]

    def _settle(self) -> Iterable[Reply[Any]]:
        self._rng.shuffle(self._held)
        count = self._rng.choice((1, 3, 9))
        leases, self._held = self._held[:count], self._held[count:]
        if self._stale and self._rng.random() < 0.2:
            leases.append(self._stale.pop())
        self._stale += leases[:1]
        if not leases:
            return []
        settlements = tuple(self._settlement(lease) for lease in leases)
        asked = [("settle", self._told(settlement)) for settlement in settlements]
        return [self._ask(self._engine.apply, Settle(settlements), asked)]

    def _settlement(self, lease: Lease, to: State | None = None) -> Settlement:
        to = to or self._rng.choice((*[State.SUCCEEDED] * 5, *set(State) - {State.RUNNING}))
        if to is State.SUCCEEDED:
            self._recorder.record(Type.OK, "run", lease.job_id)
            return Settlement(lease=lease, to=to, result=msgspec.Raw(b"%d" % lease.token))
        if to is State.READY:
            return Settlement(lease=lease, to=to, counted=False)
        delay = self._rng.choice((0.0, 0.02, 60.0)) if to is State.SCHEDULED else 0.0
        return Settlement(lease=lease, to=to, delay=delay, failure=BOOM)

    # A dead job may be redriven, so that is not final.
    def _told(self, settlement: Settlement) -> dict[str, Any]:
        lease = settlement.lease
        return {
            "job": lease.job_id, "token": lease.token, "since": self._ticks(),
            "final": settlement.to in {State.SUCCEEDED, State.CANCELLED},
            "state": settlement.to.value,
        }  # fmt: skip

    def _extend(self) -> Iterable[Reply[Any]]:
        leases = tuple(self._held)
        if not leases:
            return []
        since = self._ticks()
        reply = self._engine.apply(Extend(leases, self._seconds))

        def note(answered: Reply[Any]) -> None:
            lost = frozenset(lease.job_id for lease in leases)
            lost = lost if answered.error else answered.wait().lost
            for lease in leases:
                if lease.job_id not in lost:
                    value = {"job": lease.job_id, "token": lease.token, "since": since}
                    self._recorder.record(Type.OK, "extend", value | {"seconds": self._seconds})

        reply.listen(note)
        return [reply]

    def _give_up(self) -> Iterable[Reply[Any]]:
        """At times, die and be reclaimed."""
        if self._rng.random() < 0.7:
            return []
        for lease in self._held:
            value = {"job": lease.job_id, "since": self._ticks()}
            self._recorder.record(Type.INFO, "reclaim", value)
            self._recorder.record(Type.INFO, "lose", lease.job_id)
        self._stale += self._held
        self._held = []
        return [self._engine.apply(Reclaim(self._holder, BOOM)), self._engine.maintain()]

    # Operating ------------------------------------------------------------------------------------

    def _put(self) -> Iterable[Reply[Any]]:
        key = f"{self._holder}/{self._rng.randint(1, 5)}"
        value = self._rng.randbytes(self._rng.choice((10, 1000)))
        asked = [("put", {"key": key, "version": 0})]
        return [self._ask(self._engine.apply, Put(key, value), asked)]

    def _change(self) -> Iterable[Reply[Any]]:
        ids = tuple(self._rng.sample(self._sent, min(3, len(self._sent))))
        write = self._rng.choice((CancelJobs(ids, "not wanted"), RetryJobs(ids)))
        for job_id in ids:
            self._recorder.record(Type.INFO, "redrive", job_id)
        return [self._ask(self._engine.apply, write, [("change", list(ids))])]

    # Recording ------------------------------------------------------------------------------------

    def _ask(
        self, call: Callable[[Any], Reply[Any]], argument: Any, asked: Sequence[Asked]
    ) -> Reply[Any]:
        for f, value in asked:
            self._recorder.record(Type.INVOKE, f, value)
        reply = call(argument)

        def note(answered: Reply[Any]) -> None:
            kind = verdict(answered.error)
            answer = None if answered.error else answered.wait()
            lost = answer.lost if isinstance(answer, Settled) else ()
            for f, value in asked:
                stale = f == "settle" and value["job"] in lost
                put = {"version": answer.version} if isinstance(answer, Stored) else {}
                told = value | put if put else value
                self._recorder.record(Type.FAIL if stale else kind, f, told)

        reply.listen(note)
        return reply


def verdict(error: BaseException | None) -> Type:
    """Return what an answer says of its request: it happened, it did not, or nobody knows."""
    if error is None:
        return Type.OK
    definite = isinstance(error, HeadraceError) and not isinstance(error, OutcomeUnknown)
    return Type.FAIL if definite else Type.INFO


def answer_of(reply: Reply[Any]) -> BaseException | None:
    """Wait for an answer; return its error, or None.

    Raises:
        AssertionError: nobody answers.
    """
    try:
        reply.wait(PATIENCE)
    except HeadraceError as error:
        assert reply.done, f"nobody answered within {PATIENCE} s"
        return error
    return None


def witness(job_id: str) -> str:
    """Return the key of the entry that is put together with a job."""
    return f"sent/{job_id}"


def _ids(messages: Sequence[Message]) -> list[str]:
    return [message.id for message in messages]
