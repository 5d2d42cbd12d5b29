"""Watcher: who waits for which jobs; one question to the ledger serves them all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from headrace.clock import Clock
from headrace.engine import Engine
from headrace.errors import EngineBusy, EngineClosed, HeadraceError, JobNotFound, UsageError
from headrace.record import Record
from headrace.reply import Reply, resolve_all
from headrace.service import Service

_POLL_SECONDS = 0.5
_LINGER_SECONDS = 5.0
_REST_SECONDS = 0.002
_REST_FACTOR = 4

_Answers = list[tuple[Reply[Any], Any, BaseException | None]]


class Watcher:
    """Tells callers when jobs are finished.

    It asks the engine for the states of all awaited jobs at once: after a hint that some job has
    finished, and every half a second in case a hint was lost. Its thread runs while somebody waits.

    Args:
        engine: what knows the jobs.
        clock: tells how long a question took: asking takes a fifth of the time at most.
        fraction: gives random numbers in [0, 1), to spread the polling.
        deadline: seconds that one question to the engine may take.
    """

    _unwatch: Callable[[], None] | None
    _service: Service

    def __init__(
        self, engine: Engine, clock: Clock, fraction: Callable[[], float], deadline: float
    ) -> None:
        self.engine = engine
        self.deadline = deadline
        self._clock = clock
        self._fraction = fraction
        self._closing = threading.Event()
        self._start_anew()

    def wait(self, job_id: str) -> Reply[Record]:
        """Return a reply that the job's final record resolves.

        Raises (in the reply):
            JobNotFound: the job is not there, or is pruned while somebody waits.
            EngineClosed: `close()` was called.
        """
        reply: Reply[Record] = Reply()
        if self._pid != os.getpid():  # a forked child has our waiters, but not our thread
            self._start_anew()
        with self._lock:
            if self._closing.is_set():
                return Reply.failed(EngineClosed("the App was closed: nothing waits for jobs now"))
            self._waiting.setdefault(job_id, []).append(reply)
            if self._unwatch is None:
                self._unwatch = self.engine.watch("finished", self._hint)
        self._service.start()
        self._service.wake()
        return reply

    def forget(self, job_id: str, reply: Reply[Record]) -> None:
        """Stop waiting on behalf of a caller that gave up; harmless when it was answered."""
        with self._lock:
            replies = self._waiting.get(job_id, [])
            if reply in replies:
                replies.remove(reply)
            if not replies:
                self._waiting.pop(job_id, None)

    def refuse_inside(self) -> None:
        """Refuse to wait in the very thread that would have to answer.

        Raises:
            UsageError: the caller is a done-callback.
        """
        if self._service.inside:
            raise UsageError("a done-callback must not wait for a job: give that job a callback")

    def close(self) -> None:
        """Tell whoever still waits that there will be no answer. Idempotent."""
        self._closing.set()
        self._give_up(EngineClosed("the App was closed while a job was waited for"))
        self._service.stop()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Reply[Record]]] = {}
        self._unwatch = None
        self._lingering = False
        self._service = Service("headrace-watcher", self._tick, _POLL_SECONDS, self._fraction)

    def _hint(self) -> None:
        if self._waiting:
            self._service.wake()

    def _tick(self) -> float | None:
        with self._lock:
            ids = tuple(self._waiting)
        if not ids:
            return self._idle()
        self._lingering = False
        began = self._clock.monotonic()
        try:
            records, gone = self._ask(ids)
        except EngineBusy:
            return None
        except Exception as error:
            # Whatever it is, the callers must not hang because of it.
            self._give_up(error)
            if not isinstance(error, HeadraceError):
                raise
            return None
        resolve_all(self._take(records, gone))
        took = self._clock.monotonic() - began
        self._closing.wait(max(_REST_SECONDS, _REST_FACTOR * took))
        return None

    def _idle(self) -> float:
        """Linger once, for callers that wait for one job after another; then end the thread."""
        if not self._lingering:
            self._lingering = True
            return _LINGER_SECONDS
        with self._lock:
            if not self._waiting:
                self._stop_watching()
        return 0.0

    def _stop_watching(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self._service.stop(timeout=0)

    def _ask(self, ids: Sequence[str]) -> tuple[dict[str, Record], set[str]]:
        """Return the records of the jobs that are finished, and the ids that are not there."""
        states = self.engine.states(ids).wait(self.deadline)
        finished = [job_id for job_id, state in states.items() if state.terminal]
        records = self.engine.get(finished).wait(self.deadline) if finished else {}
        gone = (set(ids) - states.keys()) | (set(finished) - records.keys())
        return records, gone

    def _take(self, records: dict[str, Record], gone: set[str]) -> _Answers:
        answers: _Answers = []
        with self._lock:
            for job_id, record in records.items():
                answers += [(reply, record, None) for reply in self._waiting.pop(job_id, ())]
            for job_id in gone:
                error = JobNotFound(
                    f"no job {job_id}: the id is wrong, its transaction is not committed, or it"
                    " was pruned"
                )
                answers += [(reply, None, error) for reply in self._waiting.pop(job_id, ())]
        return answers

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            replies = [reply for waiting in self._waiting.values() for reply in waiting]
            self._waiting.clear()
            self._stop_watching()
        resolve_all([(reply, None, error) for reply in replies])
