"""Job: one accepted call, from the view of whoever wants to know what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import msgspec

from headrace.callers import answer, refuse_on_loop
from headrace.codec import Returns
from headrace.engine import Entry
from headrace.errors import JobCancelled, JobDead, JobFailed, JobNotFound, ResultTimeout
from headrace.record import Cause, Failure, Record, State
from headrace.reply import Reply, Unanswered
from headrace.watcher import Watcher
from headrace.write import CancelJobs, Changed

R_co = TypeVar("R_co", covariant=True)

_log = logging.getLogger("headrace")


class Progress(msgspec.Struct, frozen=True):
    """How far a run has come, in its own words.

    Attributes:
        done: how much is done.
        total: how much there is to do; None: not known.
        note: what it is doing.
    """

    done: float
    total: float | None = None
    note: str = ""


def progress_key(job_id: str) -> str:
    """Return the key under which the store remembers the progress of a job."""
    return f"progress/{job_id}"


def read_progress(entry: Entry) -> Progress:
    """Return the progress that an entry of the store remembers."""
    return msgspec.json.decode(entry.value, type=Progress)


class Job(Generic[R_co]):
    """A promise of a result: `job.result()` blocks for it, `await job` does not.

    A blocking method called on a running event loop raises `BlockingCall`, which names the twin
    to await instead. The engine's own errors pass through.

    Args:
        job_id: its id.
        watcher: tells when it is finished, and has the engine.
        returns: reads its result.
        record: what is known of it.

    Attributes:
        id: the job's id, a UUIDv7.
    """

    __slots__ = ("_record", "_returns", "_watcher", "id")

    def __init__(
        self, job_id: str, watcher: Watcher, returns: Returns, record: Record | None = None
    ) -> None:
        self.id = job_id
        self._watcher = watcher
        self._returns = returns
        self._record = record

    def __repr__(self) -> str:
        state = f" {self._record.state}" if self._record else ""
        return f"<Job {self.id}{state}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def record(self) -> Record | None:
        """All that was known when it was last asked for; None before the first time."""
        return self._record

    @property
    def state(self) -> State:
        """The state the job is in now. It asks the ledger, unless the job is known to be finished.

        Raises:
            BlockingCall: on an event loop; write `(await job.arefresh()).state` there.
            JobNotFound: it was pruned after its retention time.
        """
        if self._record is not None and self._record.state.terminal:
            return self._record.state
        refuse_on_loop("job.state", "(await job.arefresh()).state")
        return self._state(self._watcher.engine.states([self.id]).wait(self._watcher.deadline))

    def result(self, timeout: float | None = None) -> R_co:
        """Wait until the job is finished, and return its result.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Raises:
            JobDead: it ended as a dead letter; cause and traceback are in the error.
            JobCancelled: it was cancelled.
            ResultTimeout: it is not finished; the present state is in the error.
            JobNotFound: it was pruned after its retention time.
            EngineClosed: the App was closed meanwhile.
            UsageError: a done-callback asks, for whose thread every other caller waits.
        """
        refuse_on_loop("job.result()", "await job.aresult()")
        if (reply := self._final()) is None:
            self._watcher.refuse_inside()
            reply = self._watcher.wait(self.id)
        try:
            return self._result(reply.wait(timeout))
        except Unanswered:
            states = self._watcher.engine.states([self.id]).wait(self._watcher.deadline)
            raise self._too_late(timeout, states) from None
        finally:
            self._watcher.forget(self.id, reply)

    async def aresult(self, timeout: float | None = None) -> R_co:  # noqa: ASYNC109 - as `result`
        """Await the result; the twin of `result`, with the same errors."""
        reply = self._final() or self._watcher.wait(self.id)
        try:
            return self._result(await answer(reply, timeout))
        except Unanswered:
            asked = self._watcher.engine.states([self.id])
            raise self._too_late(timeout, await answer(asked, self._watcher.deadline)) from None
        finally:
            self._watcher.forget(self.id, reply)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self.aresult().__await__()

    def add_done_callback(self, callback: Callable[[Job[R_co]], object]) -> None:
        """Call `callback(job)` once when the job is finished, whatever the end; at once if it is.

        It is called in a thread that serves every callback: it should be quick, and must not wait
        for other jobs. Its exceptions are logged. If the App is closed before the job is
        finished, it is never called.
        """

        def call(reply: Reply[Record]) -> None:
            if reply.error is None:
                self._record = reply.wait()
            elif not isinstance(reply.error, JobNotFound):
                _log.warning("%r: its callback is not called: %s", self, reply.error)
                return
            try:
                callback(self)
            except Exception:  # noqa: BLE001 - it is logged; the other callbacks have their turn
                _log.exception("%r: the callback %r failed", self, callback)

        (self._final() or self._watcher.wait(self.id)).listen(call)

    def cancel(self, reason: str = "") -> bool:
        """Cancel the job if it waits; ask its worker to, if it runs.

        Args:
            reason: why, for the record.

        Returns:
            True if it is cancelled, or was asked to be: a run that ends first wins. False if it
            has ended otherwise.

        Raises:
            JobNotFound: it was pruned after its retention time.
        """
        refuse_on_loop("job.cancel()", "await job.acancel()")
        return self._was_cancelled(self._cancel(reason).wait(self._watcher.deadline))

    async def acancel(self, reason: str = "") -> bool:
        """Cancel the job; the twin of `cancel`, with the same answer and errors."""
        return self._was_cancelled(await answer(self._cancel(reason), self._watcher.deadline))

    def refresh(self) -> Record:
        """Ask the ledger for all that it knows of the job, and keep it as `record`.

        Raises:
            JobNotFound: it was pruned after its retention time.
        """
        refuse_on_loop("job.refresh()", "await job.arefresh()")
        return self._known(self._watcher.engine.get([self.id]).wait(self._watcher.deadline))

    async def arefresh(self) -> Record:
        """Ask the ledger; the twin of `refresh`, with the same answer and errors."""
        reply = self._watcher.engine.get([self.id])
        return self._known(await answer(reply, self._watcher.deadline))

    def progress(self) -> Progress | None:
        """Return what its run has last told with `ctx.progress`; None if nothing, or long ago."""
        refuse_on_loop("job.progress()", "await job.aprogress()")
        reply = self._watcher.engine.load([progress_key(self.id)])
        return _progress(reply.wait(self._watcher.deadline))

    async def aprogress(self) -> Progress | None:
        """Return its progress; the twin of `progress`."""
        reply = self._watcher.engine.load([progress_key(self.id)])
        return _progress(await answer(reply, self._watcher.deadline))

    def _final(self) -> Reply[Record] | None:
        """Return the final record without asking, if it is known."""
        known = self._record
        return Reply.of(known) if known is not None and known.state.terminal else None

    def _result(self, record: Record) -> R_co:
        self._record = record
        if record.state is State.SUCCEEDED:
            result: R_co = self._returns.decode(record.result or b"null")
            return result
        failure = record.failure or Failure(cause=Cause.CANCELLED)
        name = f"job {self.id} ({record.message.task})"
        details = ": ".join(filter(None, (failure.cause, failure.type, failure.message)))
        kind: type[JobFailed] = JobCancelled
        message = f"{name} was cancelled ({details})"
        if record.state is State.DEAD:
            kind = JobDead
            message = (
                f"{name} is dead ({details}); `headrace dead redrive {self.id}` tries it again"
            )
        error = kind(message, self.id, failure.cause, failure.traceback)
        if failure.traceback:
            error.add_note(f"Its last run said:\n{failure.traceback}")
        raise error

    def _cancel(self, reason: str) -> Reply[Changed]:
        text = reason.encode("utf-8", "replace").decode()  # a lone surrogate cannot be stored
        return self._watcher.engine.apply(CancelJobs((self.id,), text))

    def _was_cancelled(self, changed: Changed) -> bool:
        state = self._state(changed.states)
        return state is State.CANCELLED or not state.terminal

    def _known(self, records: dict[str, Record]) -> Record:
        if self.id not in records:
            raise self._not_found()
        self._record = records[self.id]
        return self._record

    def _state(self, states: dict[str, State]) -> State:
        if self.id not in states:
            raise self._not_found()
        return states[self.id]

    def _too_late(self, timeout: float | None, states: dict[str, State]) -> ResultTimeout:
        state = self._state(states)
        message = f"job {self.id} is not finished after {timeout} s: it is {state}"
        return ResultTimeout(message, self.id, state)

    def _not_found(self) -> JobNotFound:
        return JobNotFound(
            f"no job {self.id}: the id is wrong, its transaction is not committed, or it was pruned"
        )


def _progress(entries: dict[str, Entry]) -> Progress | None:
    return next(map(read_progress, entries.values()), None)
