"""Retry: how a job is tried again, as a task's rule or as one run's wish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.errors import InvalidOption

_MAX_DELAY_LIMIT = 366 * 86_400.0
_ATTEMPTS_LIMIT = 10_000
_RANGES = (
    ("delay", 0, _MAX_DELAY_LIMIT),
    ("factor", 1, 100),
    ("max_delay", 0, _MAX_DELAY_LIMIT),
    ("jitter", 0, 1),
)


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The numbers of a `Retry`, as they travel in a message.

    The wait before attempt n+1 is `delay * factor ** (n - 1)`, spread by ± `jitter` of itself so
    that jobs that failed together do not come back together. It is held down so that its spread
    ends at `max_delay`: cutting the spread off there would bring jobs back together again.

    Attributes:
        attempts: how often the job is run at most, the first run included.
        delay: seconds before the second attempt.
        factor: what each further wait is multiplied by.
        max_delay: seconds that no wait exceeds.
        jitter: 0 … 1, the share of a wait that is random.
    """

    attempts: int = 5
    delay: float = 5.0
    factor: float = 3.0
    max_delay: float = 3600.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if type(self.attempts) is not int:
            message = f"Retry(attempts={self.attempts!r}): must be a whole number"
            raise InvalidOption(message)
        _check("attempts", self.attempts, 1, _ATTEMPTS_LIMIT)
        for name, low, high in _RANGES:
            number = getattr(self, name)
            _check(name, number, low, high)
            # A subclass of float, such as numpy has, may have no JSON form.
            msgspec.structs.force_setattr(self, name, float(number))

    def wait_after(self, attempt: int, fraction: float) -> float:
        """Return the seconds to wait after a failed attempt.

        Args:
            attempt: the number of the attempt that failed, from 1.
            fraction: a random number in [0, 1).
        """
        wait = self.delay
        for _ in range(attempt - 1):
            wait *= self.factor
            if wait >= self.max_delay:
                break
        wait = min(wait, self.max_delay / (1 + self.jitter))
        return wait * (1 + self.jitter * (2 * fraction - 1))


def _check(name: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and low <= value <= high):  # a NaN is refused as well
        message = f"Retry({name}={value!r}): must be a number from {low} to {high}"
        raise InvalidOption(message)


def _check_exceptions(name: str, classes: object) -> None:
    # Found out now: a worker would find out when a task has failed, and could not retry it.
    fits = isinstance(classes, tuple) and all(
        isinstance(each, type) and issubclass(each, Exception) for each in classes
    )
    if not fits:
        message = f"Retry({name}={classes!r}): must be a tuple of exception classes"
        raise InvalidOption(message)


class Retry(Exception):
    """How to try again.

    As a task's option, the rule for its failures: `@app.task(retry=Retry(attempts=5))`. Raised or
    returned by a task, the wish of this one run: `raise Retry("rate limited", delay=60)`; it counts
    as an attempt, and when the task's attempts are spent the job is dead all the same.

    Args:
        reason: why, for the history; for a raised one.
        attempts: how often to run at most, the first run included.
        delay: seconds before the second attempt; raised: seconds before the next one.
        factor: what each further wait is multiplied by.
        max_delay: seconds that no wait exceeds.
        jitter: 0 … 1, the share of a wait that is random.
        only: exception classes that are worth another attempt; None means every `Exception`.
        never: exception classes that make the job dead at once; they win over `only`.

    Raises:
        InvalidOption: a number is out of its range, or `only` or `never` is no tuple of exception
            classes.
    """

    def __init__(  # noqa: PLR0913 - one keyword a number: what users write reads as a sentence
        self,
        reason: str = "",
        *,
        attempts: int | None = None,
        delay: float | None = None,
        factor: float | None = None,
        max_delay: float | None = None,
        jitter: float | None = None,
        only: tuple[type[Exception], ...] | None = None,
        never: tuple[type[Exception], ...] = (),
    ) -> None:
        super().__init__(reason)
        _check_exceptions("only", () if only is None else only)
        _check_exceptions("never", never)
        self.reason = reason
        self.rules = ExceptionRules(only, never)
        given = {
            "attempts": attempts,
            "delay": delay,
            "factor": factor,
            "max_delay": max_delay,
            "jitter": jitter,
        }
        self.policy = RetryPolicy(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type] # the names are the fields'
        self.delay = None if delay is None else self.policy.delay

    def __repr__(self) -> str:
        return f"Retry({self.reason!r}, {self.policy!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.reason, self.delay, self.rules, self.policy)


@dataclass(frozen=True, slots=True)
class ExceptionRules:
    """Which exceptions are worth another attempt."""

    only: tuple[type[Exception], ...] | None = None
    never: tuple[type[Exception], ...] = ()

    def allow(self, error: BaseException) -> bool:
        """Return whether a run that ended with `error` may be tried again."""
        if isinstance(error, self.never):
            return False
        return self.only is None or isinstance(error, self.only)
