"""Registration: what a client says of an endpoint for webhooks, and is told of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, structs

from headrace.gateway.caller import RESERVED_TAGS, Caller
from headrace.gateway.handover.options import explain
from headrace.gateway.portrait import moment
from headrace.gateway.problem import Problem, invalid
from headrace.json_form import pointer
from headrace.webhooks.endpoint import CONCURRENCY, Endpoint
from headrace.webhooks.signature import public_key

Event = Literal[
    "headrace.job.succeeded",
    "headrace.job.cancelled",
    "headrace.job.dead",
    "headrace.job.pruned",
]
Signature = Literal["v1", "v1a"]
Pattern = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:*?-]{1,128}$")]
Tag = Annotated[str, Meta(min_length=1, max_length=255)]

_FEW = Meta(max_length=32)
_NO_NAME = "none"


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an endpoint is told, how, and how often.

    Attributes:
        url: where to send.
        events: types of events that it wants; none: all.
        queues: patterns of queues, such as `mail-*`; none: all.
        tasks: patterns of tasks; none: all.
        tags: a job must have all of these.
        note: what its owner calls it.
        rate: deliveries a second at most.
        concurrency: deliveries at a time that one worker process begins.
        enabled: whether anything is sent.
    """

    url: str
    events: Annotated[list[Event], _FEW] = []
    queues: Annotated[list[Pattern], _FEW] = []
    tasks: Annotated[list[Pattern], _FEW] = []
    tags: Annotated[list[Tag], _FEW] = []
    note: Annotated[str, Meta(max_length=200)] = ""
    rate: Annotated[float, Meta(gt=0, le=1000)] | None = None
    concurrency: Annotated[int, Meta(ge=1, le=100)] = CONCURRENCY
    enabled: bool = True


NAMES = Terms.__struct_fields__


def terms(content: object) -> Terms:
    """Return what a client wants, checked; only where the URL leads is still to be seen.

    Raises:
        Problem: something does not fit (422).
    """
    try:
        wanted = msgspec.convert(content, Terms)
    except msgspec.ValidationError as error:
        raise invalid([(pointer(error), explain(error, NAMES))]) from None
    for place, tag in enumerate(wanted.tags):
        if tag.startswith(RESERVED_TAGS):
            raise invalid([(f"/tags/{place}", f"{tag!r:.50}: this prefix is reserved")])
    return wanted


def changed(endpoint: Endpoint, patch: object) -> Terms:
    """Return what an endpoint is to be after a merge patch (RFC 7396): null is the default.

    Raises:
        Problem: something does not fit (422).
    """
    if not isinstance(patch, dict):
        raise invalid([("", "send an object with the members that change")])
    content = {name: getattr(endpoint, name) for name in NAMES} | patch
    return terms({name: value for name, value in content.items() if value is not None})


def applied(endpoint: Endpoint, wanted: Terms) -> Endpoint:
    """Return an endpoint on new terms. One that is switched on begins with a clean record."""
    fields = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in structs.asdict(wanted).items()
    }
    if wanted.enabled and not endpoint.enabled:
        fields |= {"disabled_because": "", "failing_since": None}
    return structs.replace(endpoint, **fields)


def knows(caller: Caller, endpoint: Endpoint) -> bool:
    """Return whether a caller may know of an endpoint: its tenant's, and of no queues but its."""
    theirs = caller.tenant is None or endpoint.tenant == caller.tenant
    return theirs and (not caller.queues or endpoint.bounds == caller.queues)


def told(endpoint: Endpoint, base: str, **more: Any) -> dict[str, Any]:
    """Return an endpoint as its owner sees it; its secret only where it is new.

    Args:
        endpoint: the endpoint.
        base: where the gateway is mounted.
        more: further members.
    """
    place = f"{base}/v1/webhooks/endpoints/{endpoint.id}"
    current = endpoint.keys[0].text
    asymmetric = current.startswith("whsk_")
    return {
        "id": endpoint.id,
        **{name: getattr(endpoint, name) for name in NAMES},
        "signature": "v1a" if asymmetric else "v1",
        "public_key": public_key(current) if asymmetric else None,
        "disabled_because": endpoint.disabled_because or None,
        "failing_since": moment(endpoint.failing_since),
        "created_at": moment(endpoint.created_at),
        "links": {
            "self": place,
            "deliveries": f"{base}/v1/webhooks/deliveries?endpoint={endpoint.id}",
        },
        **more,
    }


def missing() -> Problem:
    """Return the problem of an endpoint that is not there, or somebody else's."""
    return Problem("not-found", "there is no such endpoint")
