"""Ending: what one run came to, as plain data that can cross the border of a process.

Here a value or an exception becomes data, beside the classes that it is judged by; what that means
for the job (another attempt, a dead letter, ...) is decided later, from the data alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Literal

import msgspec

from headrace.codec import Returns
from headrace.errors import LeaseLost
from headrace.json_form import writable
from headrace.outcome import Cancel, Dead, Done, Release, Retry, Snooze
from headrace.record import Cause, Failure
from headrace.retry import ExceptionRules

MESSAGE_LIMIT = 2048
"""Characters of an exception's or a rejected result's text that are kept."""
TRACEBACK_LIMIT = 16_384
"""Characters of a traceback's text that are kept: its end, where the error is."""

_OUTCOMES = (Done, Retry, Snooze, Cancel, Dead, Release)

Kind = Literal["done", "failed", "retry", "snooze", "cancel", "dead", "release"]


class RunTimeout(TimeoutError):
    """A run took longer than its timeout."""


class Ending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one run came to.

    Attributes:
        kind: the outcome; "failed" is an exception that is none.
        result: what it returned, as JSON, if `kind` is "done".
        delay: seconds it asked to wait for; None leaves that to the retry policy.
        failure: what went wrong, for the history.
        again: whether the task's exception rules allow another attempt.
    """

    kind: Kind
    result: msgspec.Raw = msgspec.Raw(b"null")
    delay: float | None = None
    failure: Failure | None = None
    again: bool = True


class Endings:
    """Makes endings of what the runs of one task return and raise.

    Args:
        returns: encodes its results.
        rules: which of its exceptions are worth another attempt.
        max_result: bytes of a result, at most.
    """

    def __init__(self, returns: Returns, rules: ExceptionRules, max_result: int) -> None:
        self._encode = returns.encode
        self._rules = rules
        self._max_result = max_result

    def of_value(self, value: object) -> Ending:
        """Return the ending of a run that returned `value`: a result, or an outcome."""
        if isinstance(value, _OUTCOMES):
            return self.of_error(value)
        try:
            result = self._encode(value)
        except Exception as error:  # noqa: BLE001 - the user's own type failed to be encoded
            return _rejected(value, str(error))
        if len(result) > self._max_result:
            problem = (
                f"the result takes {len(result)} bytes, more than the {self._max_result} allowed"
            )
            return _rejected(value, problem)
        return Ending(kind="done", result=msgspec.Raw(result))

    def of_error(  # noqa: PLR0911 - one match with one line for each outcome
        self, error: BaseException, logs: Sequence[str] = ()
    ) -> Ending:
        """Return the ending of a run that raised `error`: an outcome, or a failure.

        Args:
            error: what was raised.
            logs: the run's last log lines.
        """
        match error:
            case Done():
                return self.of_value(error.value)
            case Retry():
                failure = _because(Cause.RETRY, error.reason, logs)
                return Ending(kind="retry", delay=error.delay, failure=failure)
            case Snooze():
                failure = _because(Cause.SNOOZE, error.reason)
                return Ending(kind="snooze", delay=error.delay, failure=failure)
            case Cancel():
                return Ending(kind="cancel", failure=_because(Cause.CANCELLED, error.reason))
            case Dead():
                failure = _because(Cause.REJECTED, error.reason, logs)
                return Ending(kind="dead", failure=failure)
            # Who raises a lost lease in a run has it from us: the run did nothing wrong.
            case Release() | LeaseLost():
                return Ending(kind="release")
        cause = Cause.TIMEOUT if isinstance(error, RunTimeout) else Cause.ERROR
        failure = describe(error, cause, logs)
        return Ending(kind="failed", failure=failure, again=self._rules.allow(error))


def never_began(cause: Cause, problem: str) -> Ending:
    """Return the ending of a run whose function could not even be called."""
    return Ending(kind="dead", failure=_because(cause, problem))


def describe(error: BaseException, cause: Cause, logs: Sequence[str] = ()) -> Failure:
    """Tell of an exception as text.

    Args:
        error: the exception; where it was caught is left out of the traceback.
        cause: the word for programs.
        logs: the run's last log lines.
    """
    origin = error.__traceback__
    try:
        # The first frame is the one that called the user's function: it tells a user nothing.
        inner = origin.tb_next if origin is not None and origin.tb_next is not None else origin
        lines = traceback.format_exception(type(error), error, inner)
        message = str(error)
    except Exception as unprintable:  # noqa: BLE001 - an exception that cannot print itself
        lines = [f"(its text cannot be shown: {type(unprintable).__name__})"]
        message = lines[0]
    return Failure(
        cause=cause,
        type=writable(type(error).__qualname__),
        message=writable(message[:MESSAGE_LIMIT]),
        traceback=writable("".join(lines)[-TRACEBACK_LIMIT:]),
        logs=tuple(logs),
    )


def _because(cause: Cause, reason: str, logs: Sequence[str] = ()) -> Failure:
    return Failure(cause=cause, message=writable(str(reason)[:MESSAGE_LIMIT]), logs=tuple(logs))


def _rejected(value: object, problem: str) -> Ending:
    try:
        shown = repr(value)
    except Exception as error:  # noqa: BLE001 - the value need not be able to show itself
        shown = f"(a {type(value).__qualname__} whose repr raises {type(error).__name__})"
    message = f"{problem[:MESSAGE_LIMIT]}: {shown[:MESSAGE_LIMIT]}"
    failure = Failure(cause=Cause.RESULT_REJECTED, message=writable(message))
    return Ending(kind="dead", failure=failure)
