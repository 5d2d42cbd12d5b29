"""Every exception that Headrace raises, as one family.

    HeadraceError
    ├── UsageError                  the program or the command must change
    │   ├── ConfigError             a setting is missing, unknown or of the wrong kind
    │   ├── InvalidOption           an option of a task or a submit does not make sense
    │   │   └── BlockedDestination  a URL that no webhook may be sent to
    │   ├── InvalidArguments        the arguments do not fit the task's parameters
    │   ├── UnknownTask             no task of that name is registered here
    │   ├── BlockingCall            a blocking method was called on a running event loop
    │   └── Unsupported             this engine cannot do that, and says so
    ├── Refused                     the engine said no, and nothing was written
    │   ├── PayloadTooLarge         arguments over the limit
    │   ├── DuplicateJob            a live job holds the unique key (or the id)
    │   ├── QueueFull               the queue is at its limit; try again after `retry_after`
    │   ├── StorageFull             the disk, or the server, is full; nothing new is accepted
    │   ├── LeaseLost               the lease is no longer this worker's
    │   └── Conflict                a compare-and-set found another version
    ├── JobNotFound                 no such job, or pruned after its retention time
    ├── ResultTimeout               not finished in time; carries the state the job is in
    ├── JobFailed                   the job ended, but not with a result
    │   ├── JobDead                 it will not be tried again by itself
    │   └── JobCancelled            it was cancelled
    ├── GatewayError                a gateway did not answer, or said no
    ├── NotDelivered                a webhook did not reach its receiver; it is tried again
    ├── InvalidSignature            a webhook that was received is not from whom it says
    ├── TransactionTimeout          `ctx.transaction()` held the write lock for too long
    └── EngineError                 the storage itself is in trouble
        ├── EngineClosed            used after `close()`
        ├── EngineBusy              the write lock was not to be had in time
        ├── OutcomeUnknown          a commit may or may not have happened
        ├── StorageUnfit            old SQLite, network file system, newer schema, lossy server
        └── StorageCorrupt          not a database, or a damaged one

The messages say what to do. Data about the failure is in attributes, so that programs need not
read messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class HeadraceError(Exception):
    """The root: `except HeadraceError` catches whatever this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Whoever copies an error, or sends it to another process, keeps its attributes: by default
        # it would be made anew from its message alone.
        return _made_anew, (type(self), self.args), vars(self)


def _made_anew(kind: type[HeadraceError], args: tuple[Any, ...]) -> HeadraceError:
    error = kind.__new__(kind)
    error.args = args
    return error


class UsageError(HeadraceError):
    """The program or the command must change; trying again does not help."""


class ConfigError(UsageError):
    """A setting is missing, unknown or of the wrong kind."""


class InvalidOption(UsageError, ValueError):
    """An option of a task or of a submit does not make sense."""


class BlockedDestination(InvalidOption):
    """A URL that no webhook may be sent to: oddly written, or not of the public internet."""


class InvalidArguments(UsageError, TypeError):
    """The arguments do not fit the task's parameters; the message names the parameter.

    Attributes:
        pointer: where in the arguments, as a JSON Pointer (RFC 6901); "" is all of them.
    """

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class UnknownTask(UsageError, LookupError):
    """No task of that name is registered in this App."""


class BlockingCall(UsageError, RuntimeError):
    """A blocking method was called on a running event loop; the message names its twin."""


class Unsupported(UsageError):
    """This engine cannot do that; `capabilities` declares it."""


class Refused(HeadraceError):
    """The engine said no; nothing of the commit was written."""


class PayloadTooLarge(Refused, ValueError):
    """The encoded arguments are over the limit (`max_payload`, 256 KiB by default)."""


class DuplicateJob(Refused):
    """A live job holds the unique key, or the id is taken.

    Attributes:
        job_id: the job that is already there.
    """

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class QueueFull(Refused):
    """The queue is at its limit of jobs or bytes.

    Attributes:
        queue: its name.
        retry_after: seconds until room is likely, from the backlog and the drain rate.
    """

    def __init__(self, message: str, queue: str, retry_after: float) -> None:
        super().__init__(message)
        self.queue = queue
        self.retry_after = retry_after


class StorageFull(Refused):
    """Disk or server are full: nothing new is accepted until there is space; nothing is lost."""


class LeaseLost(Refused):
    """The lease is no longer this worker's; whatever it wanted to write was not written."""


class Conflict(Refused):
    """A compare-and-set found another version of the entry."""


class JobNotFound(HeadraceError, LookupError):
    """No such job: the id is wrong, or the job was pruned after its retention time."""


class ResultTimeout(HeadraceError, TimeoutError):
    """The job was not finished in time.

    Attributes:
        job_id: the job.
        state: the state it is in now, such as `"running"`.
    """

    def __init__(self, message: str, job_id: str, state: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.state = state


class JobFailed(HeadraceError):
    """The job ended, but not with a result.

    Attributes:
        job_id: the job.
        cause: a word for programs, such as `"attempts-spent"` or `"expired"`.
        traceback: the text of the last run's traceback, if there was one.
    """

    def __init__(self, message: str, job_id: str, cause: str, traceback: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id
        self.cause = cause
        self.traceback = traceback


class JobDead(JobFailed):
    """The job is a dead letter; `headrace dead redrive ID` tries it again."""


class JobCancelled(JobFailed):
    """The job was cancelled."""


class GatewayError(HeadraceError):
    """A gateway did not answer, or answered with a problem that no other error stands for.

    Attributes:
        status: the HTTP status; 0: it did not answer.
        kind: the kind of problem, such as `"forbidden"`; `"unreachable"` if there was no answer.
    """

    def __init__(self, message: str, status: int, kind: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class NotDelivered(HeadraceError):
    """A webhook did not reach its receiver, or got no answer there; it is tried again by itself."""


class InvalidSignature(HeadraceError):
    """A webhook that was received is not from whom it says, was changed, or is too old."""


class TransactionTimeout(HeadraceError, TimeoutError):
    """`ctx.transaction()` held the write lock for longer than allowed and was rolled back."""


class EngineError(HeadraceError):
    """The storage itself is in trouble."""


class EngineClosed(EngineError):
    """The engine was closed, or stopped after a failure; open it again to go on."""


class EngineBusy(EngineError):
    """The database's write lock was not to be had in time; nothing was written."""


class OutcomeUnknown(EngineError):
    """A commit failed in a way that leaves open whether it happened.

    Attributes:
        job_ids: the jobs it was about; `app.job(id)` after reopening tells what happened.
    """

    def __init__(self, message: str, job_ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.job_ids = tuple(job_ids)


class StorageUnfit(EngineError):
    """The storage cannot keep the promises: an old SQLite, a network disk, a newer schema."""


class StorageCorrupt(EngineError):
    """The file is not a Headrace database, or it is damaged; it is never recreated."""
