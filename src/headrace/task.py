"""Task: a Python function that can be run later; Call: a task with its arguments, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import WRAPPER_ASSIGNMENTS
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack

import msgspec
from msgspec import Raw, structs

from headrace.callers import refuse_on_loop
from headrace.codec import Parameters, Returns
from headrace.errors import InvalidArguments, PayloadTooLarge
from headrace.job import Job
from headrace.json_form import MISFITS, describe
from headrace.message import Message
from headrace.options import Given, Options

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)
_Q = ParamSpec("_Q")
_T = TypeVar("_T")


class Submitter(Protocol):
    """Who accepts calls; the App does."""

    def submit(self, calls: Iterable[Call[Any]]) -> list[Job[Any]]:
        """Accept calls; they are durable when this returns."""
        ...

    async def asubmit(self, calls: Iterable[Call[Any]]) -> list[Job[Any]]:
        """Accept calls; they are durable when this returns."""
        ...


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Task(Generic[P, R_co, F_co]):
    """A function that can be run later; calling the task is a plain call of the function.

    The type parameters are what `submit` takes, what `job.result()` returns, and the function.

    Attributes:
        name: what its jobs are called, in the database and by every worker.
        function: the function.
        options: how its jobs are run.
        declared: the options it was declared with; `using` leaves them as they are.
        process: whether its runs happen in a child process, which can be killed.
        parameters: turns arguments into a body, and back.
        returns: turns a result into JSON, and back.
        submitter: who accepts its calls.
        max_payload: bytes that a body may have.
    """

    name: str
    function: F_co
    options: Options
    declared: Options
    process: bool
    parameters: Parameters
    returns: Returns
    submitter: Submitter
    max_payload: int
    _envelope: Message = field(init=False)

    def __post_init__(self) -> None:
        envelope = self.options.envelope(self.name, self.declared)
        # Made once, so that a call costs no more than its arguments.
        object.__setattr__(self, "_envelope", envelope)
        # To `help`, to signatures and to documentation tools it looks like its function.
        for name in WRAPPER_ASSIGNMENTS:
            object.__setattr__(self, name, getattr(self.function, name, None))
        object.__setattr__(self, "__wrapped__", self.function)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __call__(self: Task[Any, Any, Callable[_Q, _T]], *args: _Q.args, **kwargs: _Q.kwargs) -> _T:
        """Call the function, here and now."""
        return self.function(*args, **kwargs)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """Hand a call over to be run later; it is durable when this returns.

        Raises:
            InvalidArguments: the arguments do not fit; the message names the parameter.
            PayloadTooLarge: they are over the limit.
            DuplicateJob: a live job holds the unique key.
            QueueFull: the queue is full, and stayed so for the `wait` option's seconds.
            StorageFull: the disk is full.
            OutcomeUnknown: it may or may not have been accepted; the job's id is in the error.
            BlockingCall: an event loop runs in this thread: await `asubmit`.
        """
        refuse_on_loop(f"{self.name}.submit()", f"await {self.name}.asubmit(...)")
        return self.submitter.submit([self.call(*args, **kwargs)])[0]

    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """Hand a call over; the twin of `submit`, with the same answer and errors."""
        return (await self.submitter.asubmit([self.call(*args, **kwargs)]))[0]

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """Return a call as data, for `app.submit([...])`: many in one transaction.

        Raises:
            InvalidArguments: the arguments do not fit; the message names the parameter.
            PayloadTooLarge: they are over the limit.
        """
        return self._call(self.parameters.encode(args, kwargs))

    def call_json(self, body: bytes | Raw) -> Call[R_co]:
        """Return a call whose arguments are JSON already, for those who were sent them.

        Args:
            body: a JSON object of the arguments by parameter name, in UTF-8.

        Raises:
            InvalidArguments: it is no JSON, or does not fit; the message names the parameter.
            PayloadTooLarge: it is over the limit, white space apart.
        """
        try:
            compact = msgspec.json.format(str(body, "utf-8"), indent=-1).encode()
        except MISFITS as error:
            raise InvalidArguments(
                f"the arguments of {self.name} are no JSON: {describe(error)}; write an object by"
                """ parameter name, such as {"path": "cat.jpg"}"""
            ) from None
        call = self._call(compact)
        self.parameters.decode(compact)
        return call

    def using(self, **options: Unpack[Given]) -> Task[P, R_co, F_co]:
        """Return a copy of the task with other options: `task.using(delay=60).submit(...)`.

        Args:
            options: fields of `Options`.

        Raises:
            InvalidOption: a name is unknown, or a value makes no sense.
        """
        return replace(self, options=self.options.changed(options))

    def _call(self, body: bytes) -> Call[R_co]:
        if len(body) > self.max_payload:
            raise PayloadTooLarge(
                f"{self.name}: the arguments take {len(body)} bytes, over the limit of"
                f" {self.max_payload} (max_payload); store the data and pass where it is"
            )
        return Call(self, body)


class Call(msgspec.Struct, Generic[R_co], frozen=True):
    """A task with its arguments, checked and encoded, but not yet submitted.

    Attributes:
        task: the task, with its options.
        body: the arguments, as JSON.
    """

    task: Task[Any, R_co, Any]
    body: bytes

    def message(self, job_id: str) -> Message:
        """Return the envelope of a job of this call."""
        return structs.replace(self.task._envelope, id=job_id, body=Raw(self.body))  # noqa: SLF001 - the same word
