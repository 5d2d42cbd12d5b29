"""What the parts of a worker need around them: an engine that does as it is told, and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw

from headrace.clock import Clock
from headrace.codec import Parameters, Returns
from headrace.ending import Endings
from headrace.engine import Hint, Maintained, Topic
from headrace.ids import Ids
from headrace.message import Message
from headrace.pool import Performer
from headrace.record import State
from headrace.reply import Reply
from headrace.retry import ExceptionRules, RetryPolicy
from headrace.telemetry import Telemetry
from headrace.testing.clock import ManualClock
from headrace.worker import Exit, Site, Terms
from headrace.worker.run import Recipe, Run
from headrace.write import Extend, Extended, Lease, Settle, Settled, Write

TERMS: dict[str, Any] = {
    "queues": ("default",),
    "holder": "tester",
    "lease": 30.0,
    "grace": 5.0,
    "poll": 0.05,
    "max_result": 1000,
    "deadline": 10.0,
}


class FakeEngine:
    """Keeps what was written; answers at once, or when `answer` is called.

    Attributes:
        held: whether to let replies wait for `answer`.
        refusals: errors that the next calls fail with, in order.
        unwritable: errors by the id of a job: no commit with its result is written.
        lost: ids of jobs whose lease is reported as lost.
        cancelled: ids of jobs that are reported as to be cancelled.
        claims: what the next claims give.
        limits: how many jobs each claim asked for.
        waits: how many seconds each claim was ready to wait.
    """

    def __init__(self) -> None:
        self.writes: list[Write[Any]] = []
        self.held = False
        self.refusals: list[BaseException] = []
        self.unwritable: dict[str, BaseException] = {}
        self.lost: set[str] = set()
        self.cancelled: set[str] = set()
        self.claims: list[tuple[Lease, ...]] = []
        self.limits: list[int] = []
        self.waits: list[float] = []
        self.hints: dict[str, Hint] = {}
        self.steps: list[Maintained] = []
        self._replies: list[tuple[Reply[Any], Any]] = []

    def settlements(self) -> list[Any]:
        """Return every settlement that was written."""
        return [s for write in self.writes if isinstance(write, Settle) for s in write.settlements]

    def apply(self, write: Write[Any], tx: object = None) -> Reply[Any]:
        assert tx is None
        if self.refusals:
            return Reply.failed(self.refusals.pop(0))
        answer: Any = None
        if isinstance(write, Settle):
            for settlement in write.settlements:
                error = self.unwritable.get(settlement.lease.job_id)
                if error is not None and settlement.to is not State.DEAD:
                    return Reply.failed(error)
            ids = frozenset(s.lease.job_id for s in write.settlements)
            answer = Settled(lost=ids & self.lost)
        elif isinstance(write, Extend):
            ids = frozenset(lease.job_id for lease in write.leases)
            answer = Extended(lost=ids & self.lost, cancelled=ids & self.cancelled)
        self.writes.append(write)
        return self._reply(answer)

    def commit(self, writes: Sequence[Write[Any]], tx: object = None) -> Reply[Any]:
        assert tx is None
        if self.refusals:
            return Reply.failed(self.refusals.pop(0))
        self.writes += writes
        return self._reply(tuple(None for _ in writes))

    def lease(
        self, queues: Sequence[str], *, limit: int, seconds: float, holder: str, wait: float = 0.0
    ) -> Reply[tuple[Lease, ...]]:
        assert queues
        assert seconds > 0
        assert holder
        self.limits.append(limit)
        self.waits.append(wait)
        if self.refusals:
            return Reply.failed(self.refusals.pop(0))
        return Reply.of(self.claims.pop(0) if self.claims else ())

    def maintain(self) -> Reply[Maintained]:
        if self.refusals:
            return Reply.failed(self.refusals.pop(0))
        return Reply.of(self.steps.pop(0) if self.steps else Maintained())

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        self.hints[topic] = hint
        return self.hints.clear

    def answer(self) -> None:
        """Give the replies that wait, oldest first, and those that this brings about."""
        while self._replies:
            reply, answer = self._replies.pop(0)
            reply.resolve(answer)

    def _reply(self, answer: Any) -> Reply[Any]:
        if not self.held:
            return Reply.of(answer)
        reply: Reply[Any] = Reply()
        self._replies.append((reply, answer))
        return reply


class FakePool:
    """Keeps what it was given."""

    def __init__(self, slots: int = 10) -> None:
        self.slots = slots
        self.runs: list[Run] = []
        self.running = 0
        self.interrupted: list[Run] = []

    @property
    def waiting(self) -> int:
        return len(self.runs)

    def start(self, performer: Performer[Run], hungry: Callable[[], None]) -> None:
        self.performer = performer
        self.hungry = hungry

    def submit(self, runs: Sequence[Run]) -> None:
        self.runs += runs

    def withdraw(self) -> list[Run]:
        taken, self.runs = self.runs, []
        return taken

    def interrupt(self, run: Run) -> None:
        self.interrupted.append(run)

    def stop(self) -> bool:
        return True


class Stage:
    """A site with an engine that does as it is told.

    Attributes:
        engine: the engine.
        clock: moved by hand.
        ends: why the worker was told to end.
        events: what telemetry was told.
    """

    def __init__(self, clock: Clock | None = None, **terms: Any) -> None:
        self.engine = FakeEngine()
        self.clock = ManualClock()
        self.ends: list[Exit] = []
        self.events: list[tuple[str, Any]] = []
        telemetry = Telemetry()
        telemetry.subscribe(lambda name, fields: self.events.append((name, fields)))
        self.site = Site(
            engine=self.engine,  # type: ignore[arg-type] # as much of one as the tests need
            terms=Terms(**{**TERMS, **terms}),
            clock=clock or self.clock,
            ids=Ids(seed=1),
            telemetry=telemetry,
            ended=self.ends.append,
        )


def double(n: int) -> int:
    """Stand for a task's function."""
    return 2 * n


def lease(number: int = 1, body: bytes = b'{"n": 1}', **more: Any) -> Lease:
    """Return a lease of a job; fields of the lease or of its message may be given."""
    own = {name: more.pop(name) for name in ("attempt", "lost", "token") if name in more}
    fields = {"task": "double", **more}
    message = Message(v=1, id=f"job-{number}", body=Raw(body), **fields)
    return Lease(message=message, **{"token": number, **own}, claim=f"tester.{number}")


def recipe(function: Callable[..., Any] = double, pool: Any = None, **more: Any) -> Recipe:
    """Return a recipe for a function."""
    returns = Returns(function, "double")
    fields: dict[str, Any] = {
        "function": function,
        "wrapped": False,
        "injects": False,
        "decode": Parameters(function, "double").decode,
        "returns": returns,
        "endings": Endings(returns, ExceptionRules(), 1000),
        "policy": RetryPolicy(attempts=3, jitter=0),
        "timeout": None,
        "pool": pool or FakePool(),
    }
    return Recipe(**{**fields, **more})


def a_run(number: int = 1, *, until: float = 2000.0, **more: Any) -> Run:
    """Return a run of a job, with its lease valid for as long as a ManualClock needs."""
    return Run(lease(number, **more), recipe(), until)
