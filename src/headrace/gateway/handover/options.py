"""Options that a client gives: when, where and how its job is run, in JSON or in the query.

They are those of `headrace.options.Options` that make sense from outside. Not among them: `tx`;
`trace`, which is the header field `traceparent`; `wait`, since a full queue is answered at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType, structs

from headrace.errors import InvalidOption
from headrace.gateway.caller import RESERVED_TAGS, Caller
from headrace.gateway.problem import Problem
from headrace.json_form import describe, pointer
from headrace.message import SECONDS_LIMIT, OnConflict, OnWait, Retention
from headrace.options import Options
from headrace.retry import Retry, RetryPolicy
from headrace.trace import TRACEPARENT, TRACESTATE
from headrace.webhooks.interest import CALLBACK

Moment = Annotated[datetime, Meta(tz=True)]

_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,20})?")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_RETRY = "retry."
_LONGEST_NAME = 100
_RESERVED_HEADERS = ("headrace-", TRACEPARENT, TRACESTATE)


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of a `Retry` that are to differ from the task's own."""

    attempts: int | UnsetType = UNSET
    delay: float | UnsetType = UNSET
    factor: float | UnsetType = UNSET
    max_delay: float | UnsetType = UNSET
    jitter: float | UnsetType = UNSET


class Wishes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a call; what is not given is as the task declares it.

    Attributes are those of `Options`, and `callback`: a URL that is sent a webhook when the job has
    ended. Times are seconds or, where `Options` takes a `datetime`, moments of RFC 3339 with a time
    zone.
    """

    queue: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    delay: float | UnsetType = UNSET
    run_at: Moment | UnsetType = UNSET
    expires: float | Moment | UnsetType = UNSET
    unique_key: str | UnsetType = UNSET
    on_conflict: OnConflict | UnsetType = UNSET
    order_key: str | UnsetType = UNSET
    order_on_wait: OnWait | UnsetType = UNSET
    retry: Wish | UnsetType = UNSET
    timeout: float | UnsetType | None = UNSET
    lease: float | UnsetType = UNSET
    retention: Retention | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    callback: str | UnsetType = UNSET


NAMES = Wishes.__struct_fields__
IN_QUERY = (
    *(name for name in NAMES if name not in ("retry", "retention", "headers")),
    *(f"{_RETRY}{name}" for name in Wish.__struct_fields__),
)


def in_query(query: bytes, names: tuple[str, ...] = IN_QUERY) -> Wishes:
    """Return the options in a query, such as `?queue=mail&tags=a,b&retry.attempts=3`.

    Args:
        query: the query, as it was sent.
        names: what may be in it.

    Raises:
        Problem: a name is unknown, or a value is not of its kind (422); it is no UTF-8 (400).
    """
    given: dict[str, Any] = {}
    for name, text in _pairs(query):
        if name not in names:
            raise _refused(name, unknown(name, names))
        place, key = (given, name)
        if name.startswith(_RETRY):
            place, key = given.setdefault("retry", {}), name.removeprefix(_RETRY)
        if name == "tags":
            place[key] = [*place.get(key, []), *filter(None, text.split(","))]
        elif key in place:
            raise _refused(name, f"{name} is given more than once")
        else:
            place[key] = _value(name, text)
    try:
        return msgspec.convert(given, Wishes)
    except (msgspec.ValidationError, InvalidOption) as error:
        name = pointer(error).removeprefix("/").replace("/", ".")
        raise _refused(name, f"{name}: {describe(error).rpartition(' at .')[0]}") from None


def applied(declared: Options, wishes: Wishes, caller: Caller, now: float) -> Options:
    """Return the options of a task as a client wants them.

    What jobs have in common so that they get into each other's way, they have within their tenant,
    whether the client or the task names it.

    Args:
        declared: the task's options.
        wishes: what the client gave.
        caller: the client.
        now: the time, in seconds since 1970 UTC.

    Raises:
        Misfit: one of them makes no sense; it says which.
    """
    given = {name: value for name, value in structs.asdict(wishes).items() if value is not UNSET}
    _check_tags(given.get("tags", ()))
    _check_headers(given.get("headers", ()))
    if (url := given.pop("callback", None)) is not None:
        given["headers"] = {**given.get("headers", declared.headers), CALLBACK: url}
    for name in ("run_at", "expires"):
        if isinstance(at := given.get(name), datetime):
            _check_moment(name, at, now)
    if (wish := given.get("retry")) is not None:
        given["retry"] = _retry(declared.retry.policy, wish)
    if caller.tenant is not None:
        for name in ("unique_key", "order_key"):
            if key := given.get(name) or getattr(declared, name):
                given[name] = f"{caller.tenant}/{key}"
    try:
        return declared.changed(given)  # type: ignore[arg-type] # the names are those of Options
    except InvalidOption as error:
        raise Misfit(_culprit(declared, given), str(error)) from None


class Misfit(Exception):
    """An option does not make sense.

    Attributes:
        name: which, with dots.
        detail: why.
    """

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail

    def in_query(self) -> Problem:
        """Return the problem of an option in the query."""
        return _refused(self.name, self.detail)

    def pointer(self, place: str) -> str:
        """Return where it is, as a JSON Pointer below that of the options."""
        return f"{place}/{self.name.replace('.', '/')}" if self.name else place


def unknown(name: str, names: Iterable[str]) -> str:
    """Return what is said of a name that does not exist."""
    known = list(names)
    close = difflib.get_close_matches(name[:_LONGEST_NAME], known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
    return f"there is no {name!r:.100}: {hint}"


def explain(error: Exception, names: Iterable[str]) -> str:
    """Return what does not fit in JSON, and the name that was meant if one is unknown."""
    if found := _UNKNOWN.match(str(error)):
        return unknown(found["name"], names)
    return describe(error)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Problem("malformed-request", "the query is not percent-encoded UTF-8") from None


def _value(name: str, text: str) -> Any:
    if name in ("timeout", "lease", "priority", "delay", "expires") or name.startswith(_RETRY):
        if name == "timeout" and text == "none":
            return None
        if _NUMBER.fullmatch(text):
            return float(text) if "." in text else int(text)
    return text


def _refused(name: str, detail: str) -> Problem:
    return Problem("validation-failed", detail, errors=[{"parameter": name, "detail": detail}])


def _check_tags(tags: Iterable[str]) -> None:
    for tag in tags:
        if tag.startswith(RESERVED_TAGS):
            raise Misfit("tags", f"the tag {tag!r:.100} is reserved: choose another beginning")


def _check_headers(names: Iterable[str]) -> None:
    """Refuse those that say where a job comes from: they are believed, as only we set them."""
    for name in names:
        if name == CALLBACK:
            raise Misfit("headers", f"the header {CALLBACK!r} is reserved: give a callback")
        if name.lower().startswith(_RESERVED_HEADERS):
            raise Misfit("headers", f"the header {name!r:.100} is reserved: choose another name")


def _check_moment(name: str, at: datetime, now: float) -> None:
    if not 0 <= at.timestamp() <= now + SECONDS_LIMIT:
        raise Misfit(name, f"{name}: must lie between 1970 and 100 years from now")


def _retry(policy: RetryPolicy, wish: Wish) -> Retry:
    """Change some numbers of a task's retry; the exceptions it is about stay with the task."""
    numbers = structs.asdict(policy)
    numbers |= {name: value for name, value in structs.asdict(wish).items() if value is not UNSET}
    try:
        return Retry(**numbers)
    except InvalidOption as error:
        text = str(error)
        name = next((n for n in numbers if f"({n}=" in text), "")
        raise Misfit(f"{_RETRY}{name}".rstrip("."), text) from None


def _culprit(declared: Options, given: dict[str, Any]) -> str:
    """Find the option at fault: slowly, since it is an error anyway."""
    for name, value in given.items():
        try:
            declared.changed({name: value})  # type: ignore[misc] # one of the names of Options
        except InvalidOption:
            return name
    return ""
