"""The steps that the suites are made of: one call each, answered or failed within seconds.

Jobs are named by labels of one to six characters. A label is hidden in the job's id, so that a test
can say what it sees: `assert labels(claim(engine, 2)) == ["a", "b"]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from headrace.engine import Engine, Maintained
from headrace.message import VERSION, Message
from headrace.record import Failure, QueueStatus, Record, State
from headrace.write import Lease, Send, Sent, Settle, Settled, Settlement, Write

A = TypeVar("A")

PATIENCE = 5.0
"""Seconds to wait for an answer; a blocking call that takes longer has failed."""

WORKER = "worker-1"
_PREFIX = "018f3c5e-7a10-7000-8000-"
_LABEL_LENGTH = 6


def job_id(label: str) -> str:
    """Return the id of the job with a label."""
    data = label.encode("ascii").rjust(_LABEL_LENGTH, b"\0")
    if not label or len(data) > _LABEL_LENGTH:
        raise ValueError(f"label {label!r}: use 1 to {_LABEL_LENGTH} ASCII characters")
    return f"{_PREFIX}{data.hex()}"


def label_of(name: str) -> str:
    """Return the label in a job's id."""
    return bytes.fromhex(name.removeprefix(_PREFIX)).lstrip(b"\0").decode("ascii")


def labels(jobs: Iterable[Lease | Record | str]) -> list[str]:
    """Return the labels of leases, records or ids, in their order."""
    return [label_of(job) if isinstance(job, str) else label_of(_id(job)) for job in jobs]


def message(label: str, **fields: object) -> Message:
    """Return a message for a labelled job; `fields` are the envelope's."""
    plain = Message(v=VERSION, id=job_id(label), task="noop", body=msgspec.Raw(b"{}"))
    return replace(plain, **fields)


def apply(engine: Engine, write: Write[A]) -> A:
    """Commit one write and return its answer."""
    return engine.apply(write).wait(PATIENCE)


def commit(engine: Engine, *writes: Write[Any]) -> tuple[Any, ...]:
    """Commit writes together and return their answers."""
    return engine.commit(writes).wait(PATIENCE)


def send(engine: Engine, *names: str, **fields: object) -> Sent:
    """Send one batch of labelled messages that share `fields`."""
    return apply(engine, Send(tuple(message(name, **fields) for name in names)))


def claim(
    engine: Engine,
    limit: int = 1,
    *,
    queues: Sequence[str] = ("default",),
    seconds: float = 30.0,
    holder: str = WORKER,
) -> tuple[Lease, ...]:
    """Claim jobs without waiting."""
    return engine.lease(queues, limit=limit, seconds=seconds, holder=holder).wait(PATIENCE)


def claim_one(engine: Engine, *, seconds: float = 30.0, holder: str = WORKER) -> Lease:
    """Claim exactly one job."""
    leases = claim(engine, seconds=seconds, holder=holder)
    assert len(leases) == 1, "a job should have been claimable"
    return leases[0]


def settle(engine: Engine, lease: Lease, to: State = State.SUCCEEDED, **fields: object) -> Settled:
    """Settle one run; `fields` are the settlement's."""
    return apply(engine, Settle((replace(Settlement(lease=lease, to=to), **fields),)))


def fail(engine: Engine, lease: Lease, *, delay: float = 0.0, cause: str = "error") -> Settled:
    """Settle a run that failed and is to be tried again after `delay` seconds."""
    failure = Failure(cause=cause, message="boom")
    return settle(engine, lease, State.SCHEDULED, delay=delay, failure=failure)


def bury(engine: Engine, lease: Lease, cause: str = "attempts-spent") -> Settled:
    """Settle a run that failed for good."""
    return settle(engine, lease, State.DEAD, failure=Failure(cause=cause, message="boom"))


def release(engine: Engine, lease: Lease) -> Settled:
    """Hand a job back uncounted."""
    return settle(engine, lease, State.READY, counted=False)


def state(engine: Engine, name: str) -> State | None:
    """Return the state of a labelled job, None if it is not known."""
    return engine.states([job_id(name)]).wait(PATIENCE).get(job_id(name))


def record(engine: Engine, name: str) -> Record:
    """Return the record of a labelled job."""
    found = engine.get([job_id(name)]).wait(PATIENCE)
    assert job_id(name) in found, f"job {name!r} should be known"
    return found[job_id(name)]


def depth(engine: Engine, queue: str = "default") -> QueueStatus:
    """Return how one queue is doing."""
    (status,) = engine.depth([queue]).wait(PATIENCE)
    return status


def maintain(engine: Engine) -> Maintained:
    """Do housekeeping until there is none left to do; return the sums."""
    total = Maintained()
    while True:
        step = engine.maintain().wait(PATIENCE)
        total = Maintained(
            reclaimed=total.reclaimed + step.reclaimed,
            expired=total.expired + step.expired,
            pruned=total.pruned + step.pruned,
        )
        if not step.more:
            return total


def _id(job: Lease | Record) -> str:
    return job.message.id
