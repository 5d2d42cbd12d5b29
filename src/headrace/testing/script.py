"""What happens in a random history: messages and writes, as the dice fall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from headrace.message import Message, Retention
from headrace.record import Failure, QueueLimits, State
from headrace.testing.clock import ManualClock
from headrace.testing.steps import job_id, message
from headrace.write import (
    CancelJobs,
    Delete,
    EditJobs,
    Extend,
    Lease,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    Put,
    Reclaim,
    RetryJobs,
    Send,
    Settle,
    Settlement,
    Write,
)

T = TypeVar("T")

QUEUES = ("north", "south", "narrow")
HOLDERS = ("worker-1", "worker-10")
KEYS = ("a", "b", "b/c")

Leases = tuple[Lease, Lease]
"""One job's lease on the reference, and on the subject."""
Writes = tuple[Write[Any], Write[Any]]
"""The same write for each of them: they differ in the leases they name."""


class Dice(Protocol):
    """What decides; a `random.Random` does."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to below `stop`."""
        ...

    def choice(self, options: Sequence[Any], /) -> Any:
        """Return one of some options."""
        ...


class Script:
    """Makes up what happens next.

    Args:
        dice: what decides.
        clock: what the moments are made from.
    """

    def __init__(self, dice: Dice, clock: ManualClock) -> None:
        self._dice = dice
        self._clock = clock
        self._sent = 0

    def known(self) -> list[str]:
        """Return the ids of all jobs that were ever sent."""
        return [job_id(f"{n}") for n in range(self._sent)]

    def some(self, of: Sequence[T], most: int = 4) -> list[T]:
        """Return a few of some options, in any order; none if there are none."""
        if not of:
            return []
        count = 1 + self._dice.randrange(min(most, len(of)))
        chosen = dict.fromkeys(self._dice.randrange(len(of)) for _ in range(count))
        return [of[index] for index in chosen]

    def write(self, held: Sequence[Leases]) -> Writes:
        """Return some write; `held` are the leases it may be about, stale ones among them."""
        kinds: list[Callable[[], Write[Any]]] = [self._send] * 6
        kinds += [self._cancel, self._retry, self._purge, self._edit, self._edit]
        kinds += [self._pause, self._limit, self._put, self._put, self._delete]
        about = self.some(held, 3)
        if about and self._dice.random() < 0.4:
            return self._settle(about)
        if about and self._dice.random() < 0.2:
            leases = zip(*about, strict=True)
            ours, theirs = (Extend(tuple(part), 20.5) for part in leases)
            return ours, theirs
        write: Write[Any] = self._dice.choice(kinds)()
        return write, write

    def reclaim(self) -> Reclaim:
        """Return the end of a worker."""
        failure = Failure(cause="crash", message="exit code 9")
        return Reclaim(self._dice.choice(HOLDERS), failure, counted=self._dice.random() < 0.7)

    def _send(self) -> Send:
        return Send(tuple(self._message() for _ in range(1 + self._dice.randrange(3))))

    def _message(self) -> Message:
        choice = self._dice.choice
        queue = choice(QUEUES)
        name = f"{self._sent}"
        if self._sent and self._dice.random() < 0.03:
            name = f"{self._dice.randrange(self._sent)}"  # it is taken, or was pruned
        else:
            self._sent += 1
        return message(
            name,
            queue=queue,
            priority=choice((0, 0, 0, 1, -1, 7)),
            delay=choice((None, None, None, 5.0, 20.0)),
            expires_after=choice((None, None, None, None, 15.0)),
            unique_key=choice((None, None, "k1", "k2")) if queue != "narrow" else None,
            on_conflict=choice(("reject", "replace", "replace")),
            order_key=choice((None, None, "g1", "g2")),
            order_on_wait=choice(("hold", "skip")),
            lease=choice((None, None, None, 60.5)),
            attempt=choice((0, 0, 0, 2)),
            retention=choice((None, Retention(succeeded=30.0, dead=60.0))),
            tags=choice(((), ("red",), ("red", "blue"))),
        )

    def _settle(self, about: Sequence[Leases]) -> Writes:
        choice = self._dice.choice
        strict = self._dice.random() < 0.2
        ours: list[Settlement] = []
        theirs: list[Settlement] = []
        for leases in about:
            to = choice((State.SUCCEEDED, State.SUCCEEDED, *(s for s in State if s != "running")))
            delay = choice((0.0, 5.0, 30.0)) if to is State.SCHEDULED else 0.0
            counted = to.terminal or bool(self._dice.randrange(2))
            ended_badly = to in {State.SCHEDULED, State.DEAD, State.CANCELLED}
            failure = Failure(cause="error", message="boom") if ended_badly else None
            for side, lease in zip((ours, theirs), leases, strict=True):
                side.append(
                    Settlement(lease=lease, to=to, counted=counted, delay=delay, failure=failure)
                )
        return Settle(tuple(ours), strict), Settle(tuple(theirs), strict)

    def _ids(self) -> tuple[str, ...]:
        return tuple(self.some(self.known()))

    def _cancel(self) -> CancelJobs:
        return CancelJobs(self._ids(), reason="mistake")

    def _retry(self) -> RetryJobs:
        return RetryJobs(self._ids())

    def _purge(self) -> PurgeJobs:
        return PurgeJobs(self._ids())

    def _edit(self) -> EditJobs:
        moment = self._dice.choice((None, None, -5.0, 10.0))
        return EditJobs(
            self._ids(),
            priority=self._dice.choice((None, 0, 3, -3)),
            run_at=None if moment is None else self._clock.now() + moment,
        )

    def _pause(self) -> PauseQueue:
        return PauseQueue(self._dice.choice(QUEUES), paused=self._dice.random() < 0.4)

    def _limit(self) -> LimitQueue:
        limits = self._dice.choice((QueueLimits(), QueueLimits(), QueueLimits(max_depth=6)))
        # Whether a full queue has room for a replacement is left open.
        return LimitQueue("narrow", limits)

    def _put(self) -> Put:
        choice = self._dice.choice
        return Put(choice(KEYS), b"x", choice((None, None, 0, 1, 2)), choice((None, 25.0)))

    def _delete(self) -> Delete:
        return Delete(self._dice.choice(KEYS), self._dice.choice((None, None, 0, 1)))
