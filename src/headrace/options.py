"""Options: when, where and how a job is run, apart from its arguments."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from msgspec import Raw

from headrace.errors import InvalidOption
from headrace.message import (
    HEADERS_SIZE_LIMIT,
    NO_TIMEOUT,
    PRIORITY_LIMIT,
    SECONDS_LIMIT,
    TAGS_LIMIT,
    VERSION,
    Message,
    OnConflict,
    OnWait,
    Retention,
    check_key,
    check_name,
)
from headrace.retry import ExceptionRules, Retry
from headrace.trace import parse


class Given(TypedDict, total=False):
    """The fields of `Options`, for those who give some of them by name."""

    queue: str
    priority: int
    delay: float | timedelta | None
    run_at: datetime | None
    expires: float | timedelta | datetime | None
    unique_key: str | None
    on_conflict: OnConflict
    order_key: str | None
    order_on_wait: OnWait
    retry: Retry
    timeout: float | None
    lease: float | None
    retention: Retention | None
    tags: Iterable[str]
    headers: Mapping[str, str]
    trace: str | None
    wait: float
    tx: object | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """When, where and how a job is run. Times are seconds.

    Attributes:
        queue: name of the queue it waits in.
        priority: higher runs earlier.
        delay: seconds, or a `timedelta`, until it becomes ready.
        run_at: the moment it becomes ready, instead of `delay`; an aware `datetime`.
        expires: seconds, a `timedelta` or an aware `datetime`; not started by then, it is dead.
        unique_key: at most one live job holds it.
        on_conflict: `"reject"` the new job, or `"replace"` the waiting one that holds the key.
        order_key: jobs with the same key in one queue run one after another, in order.
        order_on_wait: while it waits for a moment, `"hold"` its group, or be passed: `"skip"`.
        retry: how it is tried again after a failure.
        timeout: seconds that a run may take; None: as long as it likes.
        lease: seconds that a claim is valid without a heartbeat; None: the worker's.
        retention: how long it is kept when finished; None: the engine's.
        tags: words to find it by.
        headers: small texts that travel with it.
        trace: the caller's trace context, a W3C `traceparent`.
        wait: seconds that a submit waits for room in a full queue.
        tx: the transaction that a submit is a part of: that of a task, or that of a connection of
            your own to the same PostgreSQL database.

    Raises:
        InvalidOption: a value makes no sense, or does not go with another.
    """

    queue: str = "default"
    priority: int = 0
    delay: float | timedelta | None = None
    run_at: datetime | None = None
    expires: float | timedelta | datetime | None = None
    unique_key: str | None = None
    on_conflict: OnConflict = "reject"
    order_key: str | None = None
    order_on_wait: OnWait = "hold"
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    lease: float | None = None
    retention: Retention | None = None
    tags: Iterable[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    trace: str | None = None
    wait: float = 0.0
    tx: object | None = None

    def __post_init__(self) -> None:
        check_name("queue", self.queue)
        _check_whole("priority", self.priority, PRIORITY_LIMIT)
        for name in ("unique_key", "order_key", "trace"):
            if (key := getattr(self, name)) is not None:
                check_key(name, key)
        _check_choice("on_conflict", self.on_conflict, ("reject", "replace"))
        _check_choice("order_on_wait", self.order_on_wait, ("hold", "skip"))
        if self.delay is not None and self.run_at is not None:
            raise InvalidOption("delay and run_at say the same thing; give one of them")
        _seconds("delay", self.delay)
        _moment("run_at", self.run_at)
        _expiry(self.expires)
        for name in ("timeout", "lease"):
            object.__setattr__(self, name, _positive(name, getattr(self, name)))
        _seconds("wait", self.wait)
        _check_kind("retry", self.retry, Retry, "such as Retry(attempts=5)")
        _check_kind("retention", self.retention, Retention | None, "such as Retention(dead=3600)")
        object.__setattr__(self, "tags", _checked_tags(self.tags))
        _check_headers(self.headers)

    def changed(self, changes: Given) -> Options:
        """Return a copy with some fields changed; `delay` and `run_at` replace each other.

        Raises:
            InvalidOption: a name is unknown, or a value makes no sense.
        """
        check_names(changes)
        given: dict[str, Any] = dict(changes)
        if given.get("delay") is not None:
            given.setdefault("run_at", None)
        elif given.get("run_at") is not None:
            given.setdefault("delay", None)
        changed = replace(self, **given)
        if "retry" in given and changed.retry.rules != _NO_RULES:
            raise InvalidOption(
                "retry: which exceptions are tried again is code, so it belongs to the task:"
                " @app.task(retry=Retry(only=...))"
            )
        return changed

    def envelope(self, task: str, declared: Options) -> Message:
        """Return a message of the task that lacks nothing but its id and body.

        What is as the task declares it stays with the task, so that a new version of the program
        holds for the jobs that wait.

        Args:
            task: its name.
            declared: the task's own options.
        """
        expires_after, expires = _expiry(self.expires)
        return Message(
            v=VERSION,
            id="",
            task=task,
            body=Raw(b"{}"),
            queue=self.queue,
            priority=self.priority,
            delay=_seconds("delay", self.delay),
            run_at=_moment("run_at", self.run_at),
            expires_after=expires_after,
            expires=expires,
            unique_key=self.unique_key,
            on_conflict=self.on_conflict,
            order_key=self.order_key,
            order_on_wait=self.order_on_wait,
            timeout=None if self.timeout == declared.timeout else self.timeout or NO_TIMEOUT,
            lease=self.lease,
            retry=None if self.retry == declared.retry else self.retry.policy,
            retention=self.retention,
            tags=self._all_tags(),
            headers=dict(self.headers),
            trace=self.trace,
        )

    def _all_tags(self) -> tuple[str, ...]:
        """Return the tags, and that of the trace, so that it can be found."""
        place = None if self.trace is None else parse(self.trace)
        return tuple(self.tags) if place is None else (*self.tags, place.tag)


def check_names(given: Mapping[str, object]) -> None:
    """Refuse options that do not exist.

    Raises:
        InvalidOption: with the name that was meant, if one is close.
    """
    for name in given.keys() - _NAMES:
        close = difflib.get_close_matches(name, _NAMES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_NAMES)}"
        raise InvalidOption(f"no option is called {name!r}: {hint}")


_NO_RULES = ExceptionRules()
_NAMES = {f.name: None for f in fields(Options)}.keys()


def _seconds(name: str, value: float | timedelta | None) -> float | None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None:
        return None
    if not _is_number(seconds) or not 0 <= seconds <= SECONDS_LIMIT:
        raise InvalidOption(f"{name}={value!r}: must be seconds or a timedelta, from 0 on")
    return float(seconds)


def _moment(name: str, value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidOption(
            f"{name}={value!r}: must be a datetime with a time zone, such as"
            " datetime.now(UTC) + timedelta(hours=1)"
        )
    return value.timestamp()


def _expiry(value: float | timedelta | datetime | None) -> tuple[float | None, float | None]:
    """Return `expires` as seconds after acceptance and as a moment; at most one is not None."""
    if isinstance(value, datetime):
        return None, _moment("expires", value)
    return _seconds("expires", value), None


def _positive(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if not (_is_number(value) and 0 < value <= SECONDS_LIMIT):
        raise InvalidOption(f"{name}={value!r}: must be seconds, more than 0")
    return float(value)


def _check_whole(name: str, value: object, limit: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value <= limit:
        raise InvalidOption(f"{name}={value!r}: must be a whole number from {-limit} to {limit}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidOption(f"{name}={value!r}: must be {' or '.join(map(repr, choices))}")


def _check_kind(name: str, value: object, kind: Any, example: str) -> None:
    if not isinstance(value, kind):
        raise InvalidOption(f"{name}={value!r}: must be {example}")


def _checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise InvalidOption(f"tags={tags!r}: must be a list of texts, such as ['urgent']")
    checked = tuple(check_key("tag", tag) for tag in tags)
    if len(checked) > TAGS_LIMIT:
        raise InvalidOption(f"tags: {len(checked)} are too many; {TAGS_LIMIT} is the limit")
    return checked


def _check_headers(headers: Mapping[str, str]) -> None:
    _check_kind("headers", headers, Mapping, "a mapping, such as {'tenant': 'ann'}")
    texts = [text for pair in headers.items() for text in pair]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidOption("headers: names and values must be texts")
    try:
        size = sum(len(text.encode()) for text in texts)
    except UnicodeEncodeError as error:
        raise InvalidOption(f"headers: {error}") from error
    if size > HEADERS_SIZE_LIMIT:
        raise InvalidOption(f"headers: {size} bytes are over the limit of {HEADERS_SIZE_LIMIT}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
