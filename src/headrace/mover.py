"""Mover: takes everything from one engine to another, in batches, each exactly once.

A batch leaves the source for an entry of its store (`Depart`), is taken in by the target together
with the batch's number (`Restore` and a compare-and-set), and then the entry is deleted. Whoever
goes on after a crash, or beside another mover, reads from the two stores what is left to do:
`docs/reference/protocol.md` has the rules, M1 to M6.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from headrace.cargo import MOVE_PREFIX, Cargo, unpack
from headrace.clock import Clock
from headrace.engine import Engine, Entry
from headrace.errors import Conflict, DuplicateJob, UsageError
from headrace.ids import Ids
from headrace.message import Retention
from headrace.record import Cause, Failure, Filter, QueueLimits, Record, State
from headrace.reply import Reply
from headrace.write import Delete, Depart, LimitQueue, PauseQueue, Put, Restore, Write

T = TypeVar("T")

_NAME = f"{MOVE_PREFIX}name"  # of a target: what it is called, whatever URL leads to it
_TO = f"{MOVE_PREFIX}to"  # at the source: where it goes, and what its queues were like
_OUT = f"{MOVE_PREFIX}out/"  # at the source: the batch under way
_FROM = f"{MOVE_PREFIX}from/"  # at the target: its version is the number of batches taken in
_QUEUES = f"{MOVE_PREFIX}queues/"  # at the target: whose settings have been taken over

_JOBS = 1000
_BYTES = 4 * 1024 * 1024
_POLL = 0.2


class Step(msgspec.Struct, frozen=True):
    """What one step has moved.

    Attributes:
        jobs: how many.
        entries: how many store entries.
        ended: ids of the jobs that became dead letters, because another one holds their unique
            key at the target.
    """

    jobs: int = 0
    entries: int = 0
    ended: tuple[str, ...] = ()


class _Settings(msgspec.Struct, frozen=True):
    """What a queue was like before the move."""

    paused: bool
    limits: QueueLimits


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the source remembers of its move.

    Attributes:
        move: the move's own random name.
        target: the name of the target.
        location: where that is, for people.
        queues: what they were like.
    """

    move: str
    target: str
    location: str
    queues: dict[str, _Settings] = {}


class Mover:
    """Moves everything from one engine to another. Both are open.

    Args:
        source: where it leaves.
        target: where it goes on.
        clock: tells the time.
        ids: gives random names.
        deadline: seconds for which one call of an engine may take.
    """

    def __init__(
        self, source: Engine, target: Engine, clock: Clock, ids: Ids, deadline: float = 30.0
    ) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._ids = ids
        self._deadline = deadline
        self._move = ""

    def begin(self) -> None:
        """Begin the move, or go on with one that was interrupted.

        Raises:
            UsageError: both are the same place, or hold the same jobs, or one of them takes part
                in another move that is not over.
        """
        name = self._name_of_target()
        ours = self._load(self._source, _NAME)
        if ours is not None and ours.value == name.encode():
            raise UsageError(
                "source and target are the same place, or one is a copy of the other: nothing was"
                " moved"
            )
        self._refuse_twins()
        self._reopen_target()
        self._write_plan(name)

    def step(self) -> Step | None:
        """Move one batch; None if there is nothing now that can be moved.

        Raises:
            Conflict: another mover was faster: call it again.
            UsageError: the target is not the one that took in the batches before.
            DuplicateJob: the target has another job of the same id.
        """
        plan, version = self._plan()
        out = self._ask(self._source.scan(_OUT, limit=1))
        if out:
            return self._deliver(out[0])
        plan, version = self._close_queues(plan, version)
        taken_in = self._load(self._target, _FROM + plan.move)
        key = f"{_OUT}{plan.move}/{_version(taken_in) + 1:012d}"
        # To write the plan anew refuses all who read it before: they may know an older number.
        mark = Put(_TO, msgspec.json.encode(plan), expect=version)
        _, departed = self._commit(self._source, mark, Depart(key, _JOBS, _BYTES))
        if not departed.jobs and not departed.entries:
            return None
        entry = self._load(self._source, key)
        # Another mover may have delivered it already.
        return Step() if entry is None else self._deliver(entry)

    def run(self, wait: float, tell: Callable[[Step], None]) -> dict[State, int]:
        """Move until nothing is left, or nothing can be moved for too long.

        Args:
            wait: seconds to wait for running jobs.
            tell: called with every step.

        Returns:
            The numbers of unfinished jobs that are left at the source; empty at the end.
        """
        give_up = self._clock.monotonic() + wait
        pause = threading.Event()
        while True:
            step = self._try()
            if step is not None:
                tell(step)
                continue
            left = self.left()
            if not left or self._clock.monotonic() >= give_up:
                return left
            # Its workers may all be gone: then somebody else has to reap their leases.
            self._ask(self._source.maintain())
            pause.wait(_POLL)

    def left(self) -> dict[State, int]:
        """Return the numbers of unfinished jobs at the source, by state."""
        statuses = self._ask(self._source.depth())
        counts = {
            State.READY: sum(status.ready for status in statuses),
            State.SCHEDULED: sum(status.scheduled for status in statuses),
            State.RUNNING: sum(status.running for status in statuses),
        }
        return {state: count for state, count in counts.items() if count}

    def _try(self) -> Step | None:
        try:
            return self.step()
        except Conflict:
            return Step()

    # Beginning ------------------------------------------------------------------------------------

    def _name_of_target(self) -> str:
        entry = self._load(self._target, _NAME)
        if entry is not None:
            return entry.value.decode()
        name = self._ids.nonce()
        self._commit(self._target, Put(_NAME, name.encode(), expect=0))
        return name

    def _refuse_twins(self) -> None:
        for one, other in ((self._source, self._target), (self._target, self._source)):
            page = self._ask(one.find(Filter(), limit=_JOBS))
            both = self._ask(other.states([record.id for record in page.records]))
            if both:
                raise UsageError(
                    f"both have a job {next(iter(both))}: one looks like a copy of the other, and"
                    " the job would run twice; purge it in one of them, or move to an empty place"
                )

    def _reopen_target(self) -> None:
        """Let a place go on from which everything was moved away before."""
        entry = self._load(self._target, _TO)
        if entry is None:
            return
        plan = msgspec.json.decode(entry.value, type=_Plan)
        if self._ask(self._target.scan(_OUT, limit=1)):
            raise UsageError(
                f"the target is itself being moved to {plan.location}: finish that move first"
            )
        pauses = [PauseQueue(name, was.paused) for name, was in plan.queues.items()]
        self._commit(self._target, Delete(_TO, expect=entry.version), *pauses)

    def _write_plan(self, target: str) -> None:
        entry = self._load(self._source, _TO)
        plan = None if entry is None else msgspec.json.decode(entry.value, type=_Plan)
        if plan is not None and plan.target == target:
            self._move = plan.move
            return
        if plan is not None and self._ask(self._source.scan(_OUT, limit=1)):
            raise UsageError(
                f"the source is being moved to {plan.location}: finish that move first"
            )
        self._move = self._ids.nonce()
        new = _Plan(
            move=self._move,
            target=target,
            location=self._ask(self._target.inspect()).location,
            queues={} if plan is None else plan.queues,
        )
        write = Put(_TO, msgspec.json.encode(new), expect=_version(entry))
        self._commit(self._source, write)

    # One batch ------------------------------------------------------------------------------------

    def _plan(self) -> tuple[_Plan, int]:
        entry = self._load(self._source, _TO)
        plan = None if entry is None else msgspec.json.decode(entry.value, type=_Plan)
        if entry is None or plan is None or plan.move != self._move:
            raise UsageError("another move of this source has begun meanwhile: this one is over")
        return plan, entry.version

    def _close_queues(self, plan: _Plan, version: int) -> tuple[_Plan, int]:
        """Pause the source's queues, and take their settings over to the target."""
        statuses = self._ask(self._source.depth())
        new = {s.name: _Settings(s.paused, s.limits) for s in statuses if s.name not in plan.queues}
        pauses = [PauseQueue(status.name) for status in statuses if not status.paused]
        if new or pauses:
            plan = replace(plan, queues=plan.queues | new)
            mark = Put(_TO, msgspec.json.encode(plan), expect=version)
            self._commit(self._source, mark, *pauses)
            version += 1
        self._open_queues(plan)
        return plan, version

    def _open_queues(self, plan: _Plan) -> None:
        key = _QUEUES + plan.move
        entry = self._load(self._target, key)
        known = set() if entry is None else set(msgspec.json.decode(entry.value))
        fresh = {name: was for name, was in plan.queues.items() if name not in known}
        if not fresh:
            return
        writes: list[Write[None]] = [PauseQueue(name) for name, was in fresh.items() if was.paused]
        limited = {n: was.limits for n, was in fresh.items() if was.limits != QueueLimits()}
        writes += [LimitQueue(name, limits) for name, limits in limited.items()]
        names = msgspec.json.encode(sorted(plan.queues))
        self._commit(self._target, Put(key, names, expect=_version(entry)), *writes)

    def _deliver(self, entry: Entry) -> Step:
        move, _, number = entry.key.removeprefix(_OUT).partition("/")
        cargo = unpack(entry.value)
        ended = self._hand_in(_FROM + move, int(number), cargo)
        self._commit(self._source, Delete(entry.key))
        return Step(len(cargo.jobs), len(cargo.entries), ended)

    def _hand_in(self, key: str, number: int, cargo: Cargo) -> tuple[str, ...]:
        """Let the target take in a batch, unless it did; return the jobs that yielded to others."""
        ended: list[str] = []
        while True:
            try:
                self._commit(self._target, Put(key, b"", expect=number - 1), Restore(cargo))
            except DuplicateJob as error:
                cargo, yielded = self._yield_to(error, cargo)
                ended += yielded
            except Conflict:
                if _version(self._load(self._target, key)) < number:
                    raise UsageError(
                        f"the target knows nothing of batch {number - 1}: it is another place, or"
                        " an older copy of the one that took it in"
                    ) from None
                return ()
            else:
                return tuple(ended)

    def _yield_to(self, error: DuplicateJob, cargo: Cargo) -> tuple[Cargo, list[str]]:
        """Make a dead letter of the job whose unique key another one holds at the target."""
        if any(job.id == error.job_id for job in cargo.jobs):
            raise error
        holder = self._ask(self._target.get([error.job_id])).get(error.job_id)
        key = None if holder is None else holder.message.unique_key
        rivals = [
            job.id
            for job in cargo.jobs
            if key is not None and job.message.unique_key == key and not job.state.terminal
        ]
        jobs = [self._ended(job, error.job_id) if job.id in rivals else job for job in cargo.jobs]
        return replace(cargo, jobs=tuple(jobs)), rivals

    def _ended(self, job: Record, holder: str) -> Record:
        now = self._clock.now()
        why = (
            f"job {holder} held its unique key where it was moved to; redrive it when that is over"
        )
        keep = (job.message.retention or Retention()).dead
        return replace(
            job,
            state=State.DEAD,
            failure=Failure(cause=Cause.REPLACED, message=why),
            run_at=None,
            finished_at=now,
            kept_until=now + keep,
        )

    # Asking ---------------------------------------------------------------------------------------

    def _ask(self, reply: Reply[T]) -> T:
        return reply.wait(self._deadline)

    def _load(self, engine: Engine, key: str) -> Entry | None:
        return self._ask(engine.load([key])).get(key)

    def _commit(self, engine: Engine, *writes: Write[Any]) -> tuple[Any, ...]:
        return self._ask(engine.commit(writes))


def _version(entry: Entry | None) -> int:
    return 0 if entry is None else entry.version
