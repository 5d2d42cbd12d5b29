"""What the memory engine's calls share: one lock, one notion of time, all or nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

from headrace.clock import Clock
from headrace.engine import Hint, Maintained, Topic
from headrace.engines.memory import job as life
from headrace.engines.memory.changes import Changes
from headrace.engines.memory.entries import Entries
from headrace.engines.memory.jobs import Jobs
from headrace.engines.memory.waiting import Claim, Waiting
from headrace.engines.memory.writes import Writer
from headrace.errors import EngineClosed
from headrace.ids import Ids
from headrace.record import Cause, Failure
from headrace.reply import Reply, resolve_all
from headrace.write import Lease, Write

A = TypeVar("A")

_PRUNED_PER_STEP = 1000
_log = logging.getLogger("headrace")


class Core:
    """Jobs and entries behind one lock."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self.clock = clock
        self._ids = ids
        self._lock = threading.Lock()
        self._waiting = Waiting(self._lock, clock, lambda: self.run(_nothing))
        self._hints: list[tuple[Topic, Hint]] = []
        self._turn = 0
        self._opened = False
        self._forget()

    def _forget(self) -> None:
        self._changes = Changes()
        self.jobs = Jobs(self._changes)
        self.entries = Entries(self._changes)
        self._writer = Writer(self.jobs, self.entries, self.clock)
        self._reclaimed = 0
        self._expired = 0

    def open(self) -> None:
        """Let calls in."""
        with self._lock:
            self._opened = True

    def close(self) -> None:
        """Let no more calls in, send waiting ones away and forget everything."""
        with self._lock:
            self._opened = False
            dismissed = self._waiting.dismiss()
            self._forget()
        resolve_all(dismissed)

    def run(self, work: Callable[[], A]) -> Reply[A]:
        """Do `work` as one step, all or nothing, and return its answer or its error."""
        with self._lock:
            if not self._opened:
                return Reply.failed(EngineClosed("the memory engine is closed; open it first"))
            self._let_time_pass()
            reply = self._attempt(work)
            served = self._waiting.serve()
            self._changes.keep()
            topics = self._changes.take_topics()
        resolve_all(served)
        self._give_hints(topics)
        return reply

    def write(self, writes: Sequence[Write[Any]]) -> tuple[Any, ...]:
        """Carry out writes, within `run`."""
        return tuple([self._writer.carry_out(write) for write in writes])

    def rehearse(self, writes: Sequence[Write[Any]]) -> tuple[Any, ...]:
        """Return what writes would be answered, without doing them, within `run`."""
        answers = self.write(writes)
        self._changes.rollback()
        return answers

    def lease(self, claim: Claim, wait: float) -> Reply[tuple[Lease, ...]]:
        """Return what `claim` gives, now or within `wait` seconds."""

        def claim_or_wait() -> Reply[tuple[Lease, ...]]:
            leases = claim()
            return Reply.of(leases) if leases or wait <= 0 else self._waiting.add(claim, wait)

        reply = self.run(claim_or_wait)
        return reply.wait() if reply.error is None else Reply.failed(reply.error)

    def claim(
        self, queues: Sequence[str], limit: int, seconds: float, holder: str
    ) -> tuple[Lease, ...]:
        """Claim a fair share from each queue, within `run`."""
        self._reap()
        lines = [line for name in dict.fromkeys(queues) if (line := self.jobs.known_line(name))]
        first = self._turn % len(lines) if lines else 0
        lines = lines[first:] + lines[:first]
        name = f"{holder}.{self._ids.nonce()}"
        leases: list[Lease] = []
        while lines and len(leases) < limit:
            line = lines.pop(0)
            job = line.next()
            # A suspect is given alone: its queue's share of this answer ends before it.
            if job is None or (job.lost and leases):
                continue
            until = self.clock.monotonic() + (job.message.lease or seconds)
            leases.append(life.leased(self.jobs.put(life.claimed(job, name, holder, until))))
            if job.lost:
                break
            lines.append(line)
        self._turn += bool(leases)
        return tuple(leases)

    def maintain(self) -> Maintained:
        """Do a step of housekeeping, within `run`."""
        self._reap()
        self.entries.sweep(self.clock.now())
        outlived = islice(self.jobs.moments.outlived(self.clock.now()), _PRUNED_PER_STEP)
        # A job that left and came back has two alarms.
        old = {job.id: job for job in outlived}.values()
        for job in old:
            self.jobs.drop(job.id)
        done = Maintained(
            reclaimed=self._reclaimed,
            expired=self._expired,
            pruned=len(old),
            more=len(old) == _PRUNED_PER_STEP,
        )
        self._reclaimed = self._expired = 0
        return done

    def watch(self, topic: Topic, hint: Hint) -> Callable[[], None]:
        """Call `hint` after commits about `topic`, until the returned function is called."""
        watcher = (topic, hint)
        with self._lock:
            self._hints = [*self._hints, watcher]

        def stop() -> None:
            with self._lock:
                self._hints = [other for other in self._hints if other is not watcher]

        return stop

    def _attempt(self, work: Callable[[], A]) -> Reply[A]:
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
            self._changes.rollback()
            return Reply.failed(error)
        self._changes.keep()
        return Reply.of(answer)

    def _let_time_pass(self) -> None:
        now = self.clock.now()
        for job in self.jobs.moments.late(now):
            self.jobs.put(life.expired(job, now))
            self.jobs.drained(job.message.queue, self.clock.monotonic())
            self._expired += 1
        for job in self.jobs.moments.due(now):
            self.jobs.put(life.postponed(job, now, now))
        self._changes.keep()

    def _reap(self) -> None:
        failure = Failure(cause=Cause.LEASE_LOST, message="its lease ended without a heartbeat")
        for job in self.jobs.moments.lapsed(self.clock.monotonic()):
            self.jobs.put(life.forsaken(job, failure, self.clock.now()))
            self._reclaimed += 1

    def _give_hints(self, topics: set[Topic]) -> None:
        for topic, hint in self._hints if topics else ():
            if topic not in topics:
                continue
            try:
                hint()
            except Exception:  # noqa: BLE001 - whoever watches must not break whoever commits
                _log.exception("a watcher of %r jobs failed; the commit stands", topic)


def _nothing() -> None:
    """Let only time pass."""
