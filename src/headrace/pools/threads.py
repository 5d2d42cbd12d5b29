"""ThreadPool: runs plain functions on threads, as many as help and no more.

Two wishes contradict each other. A run that blocks (on a socket, on `sleep`) must not hold up the
next one while a thread is free. But threads that only compute take turns at the interpreter's
lock, and each further one makes everybody else in the process (who claims, settles and renews
leases) wait longer for its turn: with twenty of them about 10 ms instead of 1.6 ms, measured.

So threads take one run at a time from one shared queue, and a `tender` looks every few
milliseconds, while runs wait: as long as threads get few runs done, it doubles the number of those
that are awake; when runs turn out to be short, it lets threads rest.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from headrace.pool import Performer

RunT = TypeVar("RunT", bound=Hashable)

_LOOK_SECONDS = 0.002
_SHORT_RUNS = 20
"""So many runs of one thread between two looks are short ones: 0.1 ms each."""
_STOP_SECONDS = 1.0


class _Seat(Generic[RunT]):
    """One thread and what it does; only its own thread writes `run` and `ended`."""

    def __init__(self) -> None:
        self.run: RunT | None = None
        self.ended = 0
        self.seen = 0  # the tender's: `ended` when it last looked
        self.gate = threading.Lock()  # held, except for the moment in which a rest is ended
        self.gate.acquire()
        self.thread: threading.Thread | None = None


class ThreadPool(Generic[RunT]):
    """Runs up to `slots` functions at a time; threads are made when they are needed.

    Args:
        slots: runs at a time.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._waiting: deque[RunT] = deque()
        self._low = 0
        self._told = True
        self._mutex = threading.Lock()  # guards the seats and who rests
        self._seats: list[_Seat[RunT]] = []
        self._resting: list[_Seat[RunT]] = []
        self._useful = 1  # how many threads help, besides those stuck in a long run
        self._awake_limit = 1
        self._stopping = False
        self._work_waits = threading.Event()
        self._tender: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many runs wait for a thread."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many functions have begun and not ended."""
        return sum(seat.run is not None for seat in self._seats)

    def start(self, performer: Performer[RunT], hungry: Callable[[], None]) -> None:
        """Accept runs from now on; see `Pool.start`."""
        self._performer = performer
        self._hungry = hungry
        self._tender = threading.Thread(target=self._tend, name="headrace-tender", daemon=True)
        self._tender.start()

    def submit(self, runs: Sequence[RunT]) -> None:
        """Accept runs; wakes as many threads as have helped lately, at least one."""
        self._waiting.extend(runs)
        self._low = len(self._waiting) // 2
        self._told = False
        with self._mutex:
            woken = self._wake(max(1, min(len(runs), self._awake_limit - self._awake)))
        if woken < len(runs):  # or else nothing waits, and the tender would be in the way
            self._work_waits.set()

    def withdraw(self) -> list[RunT]:
        """Take back the runs that have not begun."""
        taken: list[RunT] = []
        while (run := self._next()) is not None:
            taken.append(run)
        return taken

    def interrupt(self, run: RunT) -> None:
        """Do nothing: a thread cannot be stopped from outside; the run itself has to look."""

    def stop(self) -> bool:
        """End the threads; one that is stuck is left behind, and cannot hold up an exit."""
        with self._mutex:
            self._stopping = True
            self._wake(len(self._resting))
        self._work_waits.set()
        threads = [seat.thread for seat in self._seats] + [self._tender]
        pace = _STOP_SECONDS / max(1, len(threads))
        for thread in threads:
            if thread is not None:
                thread.join(pace)
        return not any(thread is not None and thread.is_alive() for thread in threads)

    # In a thread of the pool ----------------------------------------------------------------------

    def _work(self, seat: _Seat[RunT]) -> None:
        going_on = True
        while going_on:
            while (run := self._next()) is not None:
                seat.run = run
                # A context of its own: what a run puts into context variables ends with it.
                contextvars.Context().run(self._performer.perform, run)
                seat.run = None
                seat.ended += 1
                if not self._waiting or (not self._told and len(self._waiting) <= self._low):
                    self._told = True
                    self._hungry()
                if self._awake > self._awake_limit:
                    break
            going_on = self._may_go_on(seat)

    def _next(self) -> RunT | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _may_go_on(self, seat: _Seat[RunT]) -> bool:
        """Rest until there is work for one more thread; answer whether to do it."""
        with self._mutex:
            # Decided under the lock: whoever submits either sees this seat rest, or is seen.
            if self._stopping:
                return False
            if self._waiting and self._awake <= self._awake_limit:
                return True
            self._resting.append(seat)
        seat.gate.acquire()
        return not self._stopping

    # How many threads are awake -------------------------------------------------------------------

    @property
    def _awake(self) -> int:
        return len(self._seats) - len(self._resting)

    def _wake(self, count: int) -> int:
        """Wake resting threads, or make new ones; return how many. The caller holds the lock."""
        for woken in range(count):
            if self._resting:
                # The last to rest first: the others are not needed, and may stay asleep.
                self._resting.pop().gate.release()
            elif len(self._seats) < self.slots and not self._stopping:
                self._add_seat()
            else:
                return woken
        return count

    def _add_seat(self) -> None:
        seat: _Seat[RunT] = _Seat()
        self._seats.append(seat)
        name = f"headrace-thread-{len(self._seats)}"
        seat.thread = threading.Thread(target=self._work, args=(seat,), name=name, daemon=True)
        seat.thread.start()

    def _tend(self) -> None:
        pause = threading.Event()  # never set: a sleep
        while not self._stopping:
            if not self._waiting:
                self._work_waits.clear()
                if not self._waiting:  # else: submitted just before it was cleared
                    self._work_waits.wait()
            pause.wait(_LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        """Adapt the number of threads to what the runs turn out to be."""
        with self._mutex:
            stuck = moving = ended = 0
            for seat in self._seats:
                progress, seat.seen = seat.ended - seat.seen, seat.ended
                ended += progress
                moving += progress > 0
                stuck += progress == 0 and seat.run is not None
            if ended > moving * _SHORT_RUNS:
                self._useful = max(1, self._useful // 2)
            elif self._waiting:
                self._useful = min(self.slots, self._useful * 2)
            self._awake_limit = min(self.slots, stuck + self._useful)
            if self._waiting:
                self._wake(self._awake_limit - self._awake)
