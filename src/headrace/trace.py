"""Trace: which requests, jobs and runs belong together, as W3C Trace Context says it.

A job's envelope has a *creation context*: the `traceparent` of whoever submitted it, which nobody
changes on the way. A job without one begins a trace of its own, whose id is the job's id without
its dashes, so that a trace costs nothing until there is something to connect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from headrace.ids import Ids
from headrace.logs import current as running
from headrace.message import Message

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
PARENT = "headrace-parent"
"""Header of a job that was submitted in a run: the id of the job whose run it was."""
RECEIVED = "headrace-received"
"""Header of a job that came over HTTP: when, in seconds since 1970 UTC, and the caller's span."""
TAG = "trace:"

SAMPLED = 0x01
RANDOM = 0x02
_FLAGS = SAMPLED | RANDOM
_MEMBERS_LIMIT = 32
_STATE_LIMIT = 512
_LARGE_MEMBER = 128

# Version, trace id, parent id, flags; a higher version may have more fields (§3.2.4).
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_KEY = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"({_KEY})=({_VALUE})")


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits; all that belongs together has the same.
        span_id: 16 hexadecimal digits: this place.
        flags: whether the caller may have recorded it, and whether its id is random.
        state: what vendors have to say about it, a `tracestate`.
    """

    trace_id: str
    span_id: str
    flags: int = SAMPLED
    state: str = ""

    def __str__(self) -> str:
        """Return it as a `traceparent` (W3C Trace Context §3.2)."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def tag(self) -> str:
        """The tag of the jobs that carry it."""
        return TAG + self.trace_id

    @property
    def headers(self) -> dict[str, str]:
        """The fields of a request that hands it on. Baggage is never among them."""
        parent = {TRACEPARENT: str(self)}
        return parent | {TRACESTATE: self.state} if self.state else parent

    def child(self, ids: Ids) -> Trace:
        """Return a new place, right below this one."""
        return replace(self, span_id=ids.span_id())


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where submits come from: what the jobs that are submitted now are to carry.

    Attributes:
        trace: the place that they are submitted from; None: they begin a trace.
        headers: what they are told besides.
        tags: those of further traces that they are to be found by.
    """

    trace: Trace | None = None
    headers: dict[str, str] = {}
    tags: tuple[str, ...] = ()


current: ContextVar[Origin | None] = ContextVar("headrace_origin", default=None)
"""Where submits of the code at hand come from, unless that is the run that it belongs to."""


def parse(traceparent: str, tracestate: str = "") -> Trace | None:
    """Return the place that the fields of a request name; None if they name none.

    An invalid `traceparent` is as good as none, and makes `tracestate` void (W3C Trace Context
    §3.2.2, §3.3); an invalid `tracestate` is dropped by itself.
    """
    found = _PARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE:
        return None
    if span_id == _NO_SPAN:
        return None
    known = int(flags, 16) & _FLAGS
    return Trace(trace_id=trace_id, span_id=span_id, flags=known, state=_state(tracestate))


def new(ids: Ids) -> Trace:
    """Return the beginning of a new trace."""
    return Trace(trace_id=ids.trace_id(), span_id=ids.span_id(), flags=_FLAGS)


def beginning(job_id: str) -> Trace:
    """Return the trace that begins with a job."""
    return Trace(trace_id=job_id.replace("-", ""), span_id=_derived(job_id))


def of(message: Message) -> Trace:
    """Return the creation context of a job: the trace that it carries, or begins."""
    state = message.headers.get(TRACESTATE, "")
    carried = None if message.trace is None else parse(message.trace, state)
    return carried or beginning(message.id)


def of_run(message: Message, attempt: int, lost: int = 0, snoozed: int = 0) -> Trace:
    """Return the place of a run of a job, the same whoever asks.

    Args:
        message: the job's envelope.
        attempt: the attempt's number.
        lost: leases lost before.
        snoozed: runs of this attempt before that did not count; a worker does not know of them,
            and calls all of them the first.
    """
    name = f"{message.id}/{attempt}/{lost}" + (f"/{snoozed}" if snoozed else "")
    return replace(of(message), span_id=_derived(name))


def about(message: Message) -> Origin:
    """Return where jobs come from that are about a job, such as those that tell what it came to."""
    return Origin(trace=of(message), headers={PARENT: message.id})


def here() -> Trace | None:
    """Return the place of the code at hand; None if it belongs to no run and no request."""
    if (origin := current.get()) is not None and origin.trace is not None:
        return origin.trace
    run = running.get()
    if run is None or run.ended:
        return None
    return of_run(run.lease.message, run.lease.attempt, run.lease.lost)


def origin() -> Origin | None:
    """Return where a submit of the code at hand comes from; None if there is nothing to tell."""
    run = running.get()
    if run is None or run.ended:
        return current.get()
    given = current.get()
    message = run.lease.message
    parent = {PARENT: message.id}
    if given is None:
        return Origin(trace=here(), headers=parent)
    return replace(given, headers=parent | given.headers, tags=(*given.tags, of(message).tag))


def marked(message: Message, trace: Trace | None, origin: Origin) -> Message:
    """Return a message that carries where it comes from.

    Args:
        message: the envelope, complete otherwise.
        trace: its creation context; None if it begins a trace.
        origin: where it is submitted.
    """
    headers = {**message.headers, **origin.headers}
    if trace is None:
        return replace(message, headers=headers)
    if trace.state:
        headers[TRACESTATE] = trace.state
    tags = dict.fromkeys((*message.tags, trace.tag, *origin.tags))
    return replace(message, headers=headers, tags=tuple(tags), trace=str(trace))


def received(headers: Mapping[str, str]) -> tuple[float, str] | None:
    """Return when a job's request arrived and the caller's span, or ""; None without a request."""
    moment, _, span_id = headers.get(RECEIVED, "").partition(" ")
    try:
        return float(moment), span_id
    except ValueError:
        return None


def _derived(name: str) -> str:
    return blake2b(name.encode(), digest_size=8).hexdigest()


def _state(text: str) -> str:
    """Return a list of members that may be handed on (§3.3.1), or "" if it is none."""
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in found if match is not None}
    if len(members) > _MEMBERS_LIMIT or len(keys) < len(members):
        return ""
    # Whole members go, the largest ones first and then from the end (§3.3.1.5).
    while len(state := ",".join(members)) > _STATE_LIMIT:
        large = [member for member in members if len(member) > _LARGE_MEMBER]
        members.remove(large[-1] if large else members[-1])
    return state
