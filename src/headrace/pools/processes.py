"""ProcessPool: runs functions in child processes, which can be killed.

A thread for each child waits for its answer. A child that dies fails the run that it had, and no
other; the next run gets a new child.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from headrace.child import Child, ChildDied
from headrace.errand import ANSWER, READY
from headrace.pool import Performer

RunT = TypeVar("RunT", bound=Hashable)

_STOP_SECONDS = 5.0


class _Seat(Generic[RunT]):
    """One thread and its child: the `Callee` of the runs that it performs."""

    def __init__(self, spawn: Callable[[], Child]) -> None:
        self._spawn = spawn
        self._lock = threading.Lock()  # a run is never killed for another one's sake
        self._child: Child | None = None
        self._condemned = False
        self.run: RunT | None = None

    def ready(self) -> None:
        """Have a child that waits for a request; see `Callee.ready`."""
        with self._lock:
            if self._condemned:
                raise ChildDied("stopped before it began")
            if self._child is not None and self._child.wait(0) is not None:
                self._replace()  # it died while it had nothing to do
            if self._child is not None:
                return
            child = self._child = self._spawn()
        if child.channel.receive() != READY:
            raise child.evidence()

    def call(self, request: bytes, note: Callable[[bytes], None]) -> bytes:
        """Let the child do it; see `Callee.call`."""
        child = self._child
        if child is None:
            raise ChildDied("stopped before it began")
        try:
            return _converse(child, request, note)
        except BaseException:
            # The child may go on with it, and its answer must never be taken for another run's.
            self._condemned = True
            raise

    def begin(self, run: RunT) -> None:
        with self._lock:
            self.run, self._condemned = run, False

    def end(self) -> None:
        with self._lock:
            self.run = None
            if self._condemned:  # even if it has answered just before it was killed
                self._replace()

    def condemn(self, run: RunT) -> bool:
        """Kill the child if it has this run; tell whether it had."""
        with self._lock:
            if self.run is not run:
                return False
            self._condemned = True
            if self._child is not None:
                self._child.kill()
            return True

    def close(self) -> None:
        with self._lock:
            self._condemned = True
            self._replace()

    def _replace(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


def _converse(child: Child, request: bytes, note: Callable[[bytes], None]) -> bytes:
    try:
        child.channel.send(request)
    except OSError:
        raise child.evidence() from None
    while (message := child.channel.receive()) is not None:
        if message[:1] == ANSWER:
            return message[1:]
        note(message[1:])
    raise child.evidence()


class ProcessPool(Generic[RunT]):
    """Runs up to `slots` functions at a time, each in a child process.

    Args:
        slots: runs, and so children, at a time; children are spawned when they are needed.
        spawn: starts a child that answers calls.
    """

    def __init__(self, slots: int, spawn: Callable[[], Child]) -> None:
        self.slots = slots
        self._spawn = spawn
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: deque[RunT] = deque()
        self._low = 0
        self._told = True
        self._seats: list[_Seat[RunT]] = []
        self._threads: list[threading.Thread] = []
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many runs wait for a child."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many runs have begun and not ended."""
        return sum(seat.run is not None for seat in self._seats)

    def start(self, performer: Performer[RunT], hungry: Callable[[], None]) -> None:
        """Accept runs from now on; see `Pool.start`."""
        self._performer = performer
        self._hungry = hungry

    def submit(self, runs: Sequence[RunT]) -> None:
        """Accept runs; makes a seat for each that no seat is free for."""
        with self._changed:
            self._waiting.extend(runs)
            self._low = len(self._waiting) // 2
            self._told = False
            wanted = min(self.slots, self.running + len(self._waiting))
            while len(self._seats) < wanted:
                self._add_seat()
            self._changed.notify(len(runs))

    def withdraw(self) -> list[RunT]:
        """Take back the runs that have not begun."""
        with self._changed:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def interrupt(self, run: RunT) -> None:
        """Kill the child that has this run, and whatever that child has started."""
        any(seat.condemn(run) for seat in tuple(self._seats))

    def stop(self) -> bool:
        """Kill the children and end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for seat in self._seats:
            seat.close()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)
        return not any(thread.is_alive() for thread in self._threads)

    def _add_seat(self) -> None:
        seat = _Seat[RunT](self._spawn)
        name = f"headrace-process-{len(self._seats) + 1}"
        thread = threading.Thread(target=self._work, args=(seat,), name=name, daemon=True)
        self._seats.append(seat)
        self._threads.append(thread)
        thread.start()

    def _work(self, seat: _Seat[RunT]) -> None:
        while (run := self._next(seat)) is not None:
            self._performer.perform_in(run, seat)
            seat.end()
            self._tell_hunger()

    def _next(self, seat: _Seat[RunT]) -> RunT | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if self._stopping:
                return None
            run = self._waiting.popleft()
            seat.begin(run)
        self._tell_hunger()
        return run

    def _tell_hunger(self) -> None:
        waiting = len(self._waiting)
        if not waiting or (not self._told and waiting <= self._low):
            self._told = True
            self._hungry()
