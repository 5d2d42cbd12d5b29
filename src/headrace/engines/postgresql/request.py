"""What a writer is asked to write, and what of it is written together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headrace.engine import Topic
from headrace.engines.postgresql.plan import Moment, Plan
from headrace.message import Message
from headrace.reply import Reply


class Request(msgspec.Struct, kw_only=True, eq=False):
    """Something to be written.

    Attributes:
        plan: makes the plan; anew, when a transaction has to be repeated.
        reply: who waits for the answer.
        until: when, by the writer's clock, it is answered with an error rather than not at all.
        messages: new jobs, if it is about nothing else: such requests are written as one.
        ids: the jobs it is about, for `OutcomeUnknown`.
        topics: what to hint at when it is committed.
        alone: whether it has to have a transaction of its own, as it locks what others may lock in
            another order.
        queues: where it wants jobs from.
        claim: the name of the claim, by which what was claimed is found again.
        patience: seconds (of the writer's own clock) until which an empty answer is held back.
    """

    plan: Callable[[Moment], Plan[Any]]
    reply: Reply[Any]
    until: float
    messages: tuple[Message, ...] = ()
    ids: Callable[[], Sequence[str]] = tuple
    topics: tuple[Topic, ...] = ()
    alone: bool = False
    queues: tuple[str, ...] = ()
    claim: str = ""
    patience: float = 0.0


def parts(group: list[Request]) -> list[list[Request]]:
    """Part what waits into what shares a transaction."""
    together = [request for request in group if not request.alone]
    return [*([together] if together else []), *([r] for r in group if r.alone)]


def units(group: Sequence[Request]) -> list[list[Request]]:
    """Part a group into what is written as one: all new jobs together; claims come last."""
    sends = [request for request in group if request.messages]
    claims = [[request] for request in group if request.queues]
    others = [[request] for request in group if not request.messages and not request.queues]
    return [*others, *([sends] if sends else []), *claims]
