"""Outcomes: what a run says became of it. A task raises or returns them; `Done` is implied.

| outcome   | the job becomes      | counted as an attempt |
|-----------|----------------------|-----------------------|
| `Done`    | succeeded            | yes                   |
| `Retry`   | scheduled (or dead)  | yes                   |
| `Snooze`  | scheduled            | no                    |
| `Cancel`  | cancelled            | yes                   |
| `Dead`    | dead                 | yes                   |
| `Release` | ready                | no                    |

`Retry` is also the task's rule for failures, so it lives in `headrace.retry`.
"""

from __future__ import annotations

from typing import Any

from headrace.errors import InvalidOption
from headrace.message import SECONDS_LIMIT
from headrace.retry import Retry

__all__ = ["Cancel", "Dead", "Done", "Outcome", "Release", "Retry", "Snooze"]


class _Signal(Exception):
    """What the outcomes share: they can be raised or returned, and compare by their values."""

    def __init__(self, *values: object) -> None:
        super().__init__(*values)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))  # a result may be a dict, and an exception must have a hash


class Done(_Signal):
    """It ended well: `raise Done(value)` ends a run early, with a result.

    Args:
        value: the result.
    """

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class Snooze(_Signal):
    """Not now: run it again later, without counting this as an attempt.

    Args:
        delay: seconds until then.
        reason: why, for the history.

    Raises:
        InvalidOption: the delay is no number of seconds, negative, or over a hundred years.
    """

    def __init__(self, delay: float, reason: str = "") -> None:
        super().__init__(delay, reason)
        if not _is_delay(delay):
            message = f"Snooze({delay!r}): must be seconds from 0 to {SECONDS_LIMIT:.0f}"
            raise InvalidOption(message)
        self.delay = float(delay)  # a subclass, such as numpy has, may have no JSON form
        self.reason = reason


def _is_delay(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= SECONDS_LIMIT  # a NaN is none


class Cancel(_Signal):
    """It is no longer wanted: the job ends as cancelled.

    Args:
        reason: why, for the record.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Dead(_Signal):
    """Trying again is pointless: the job ends as a dead letter at once.

    Args:
        reason: why, for the record.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Release(_Signal):
    """Hand it back as if it had not been claimed: another worker runs it."""


Outcome = Done | Retry | Snooze | Cancel | Dead | Release
