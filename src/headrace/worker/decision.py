"""What a run's ending means for the job: the one place where endings become settlements."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headrace.ending import Ending, describe
from headrace.record import Cause, Failure, State
from headrace.retry import RetryPolicy
from headrace.worker.run import Stopped
from headrace.write import Lease, Settlement


def decide(  # noqa: PLR0911 - one match with one line for each ending
    lease: Lease,
    ending: Ending,
    policy: RetryPolicy,
    stopped: Stopped,
    fraction: Callable[[], float],
    seconds: float | None = None,
) -> Settlement:
    """Return what becomes of a job.

    A run that ended well has won, whatever was asked of it meanwhile.

    Args:
        lease: the lease it ran under.
        ending: what the run came to.
        policy: how often it is tried, and after which waits.
        stopped: why the run was asked to stop, or "".
        fraction: gives random numbers in [0, 1), for the jitter.
        seconds: how long the run took, if that is known.
    """
    match ending.kind, stopped:
        case "done", _:
            return Settlement(
                lease=lease, to=State.SUCCEEDED, result=ending.result, seconds=seconds
            )
        case "dead", _:
            return Settlement(lease=lease, to=State.DEAD, failure=ending.failure)
        case _, "cancelled":
            return Settlement(lease=lease, to=State.CANCELLED, failure=_cancelled(ending.failure))
        case _, "stopping":
            return released(lease)
        case "cancel", _:
            return Settlement(lease=lease, to=State.CANCELLED, failure=ending.failure)
        case "release", _:
            return released(lease)
        case "snooze", _:
            delay = ending.delay or 0.0
            return _later(lease, delay, ending.failure, counted=False)
    return _again_or_dead(lease, ending, policy, fraction)


def released(lease: Lease) -> Settlement:
    """Return the settlement that hands a job back as if it had not been claimed."""
    return Settlement(lease=lease, to=State.READY, counted=False)


def put_off(lease: Lease, delay: float) -> Settlement:
    """Return the settlement that hands a job back uncounted, to be claimed in `delay` seconds."""
    return Settlement(lease=lease, to=State.SCHEDULED, counted=False, delay=delay)


def refused(lease: Lease, error: BaseException) -> Settlement:
    """Return the settlement of a run whose own settlement the engine would not write."""
    failure = describe(error, Cause.RESULT_REJECTED)
    message = f"what became of the run could not be written: {failure.message}"
    failure = msgspec.structs.replace(failure, message=message, traceback="")
    return Settlement(lease=lease, to=State.DEAD, failure=failure)


def _again_or_dead(
    lease: Lease, ending: Ending, policy: RetryPolicy, fraction: Callable[[], float]
) -> Settlement:
    if not ending.again:
        failure = _with_cause(ending.failure, Cause.NOT_RETRIED)
        return Settlement(lease=lease, to=State.DEAD, failure=failure)
    if lease.attempt >= policy.attempts:
        failure = _with_cause(ending.failure, Cause.ATTEMPTS_SPENT)
        return Settlement(lease=lease, to=State.DEAD, failure=failure)
    wait = policy.wait_after(lease.attempt, fraction()) if ending.delay is None else ending.delay
    return _later(lease, wait, ending.failure, counted=True)


def _later(lease: Lease, delay: float, failure: Failure | None, *, counted: bool) -> Settlement:
    return Settlement(
        lease=lease, to=State.SCHEDULED, counted=counted, delay=delay, failure=failure
    )


def _with_cause(failure: Failure | None, cause: Cause) -> Failure:
    return msgspec.structs.replace(failure or Failure(cause=cause), cause=cause)


def _cancelled(failure: Failure | None) -> Failure:
    return _with_cause(failure, Cause.CANCELLED)
