"""Acceptance: drafts become jobs, durably, all or none, and once for each Idempotency-Key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.errors import OutcomeUnknown, QueueFull, Refused
from headrace.gateway.desk import Desk
from headrace.gateway.handover.draft import Draft
from headrace.gateway.handover.idempotency import Claim
from headrace.message import Message
from headrace.reply import Unanswered
from headrace.write import Send, Write

_LEAST = 0.8
"""What `Retry-After` is multiplied by at least; at most by as much above 1."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a request.

    Attributes:
        jobs: the ids, in the order of the drafts.
        messages: the envelopes, unless the jobs were there already.
        replayed: whether the same request had submitted them before.
    """

    jobs: tuple[str, ...]
    messages: tuple[Message, ...] = ()
    replayed: bool = False


async def accept(desk: Desk, drafts: Sequence[Draft], claim: Claim | None) -> Receipt:
    """Make jobs of drafts; they are durable when this returns.

    Args:
        desk: has the engine.
        drafts: what is wanted.
        claim: the request's Idempotency-Key.

    Raises:
        Problem: the key came with another request before (422).
        Refused: the engine said no; nothing was written.
        OutcomeUnknown: they may or may not be accepted; their ids are in the error.
    """
    intake = await desk.app.aintake()
    jobs = tuple(intake.ids.job_ids(len(drafts)))
    drafted = [draft.message(job) for draft, job in zip(drafts, jobs, strict=True)]
    parcel = intake.pack(tuple(drafted))
    messages = parcel.messages
    writes: list[Write[Any]] = [Send(messages)]
    if claim is not None:
        writes.insert(0, claim.write(jobs))
    writes += intake.beside(messages)
    try:
        reply = intake.engine.commit(writes)
        parcel.follow(reply)
        await desk.answer(reply)
    except Refused as refusal:
        # Whatever the engine says now: a request that was accepted before stays accepted.
        earlier = None if claim is None else await _recall(desk, claim)
        if earlier is not None:
            return earlier
        if isinstance(refusal, QueueFull):
            # Spread, so that those who were turned away together do not come back together.
            refusal.retry_after *= _LEAST + (2 - 2 * _LEAST) * intake.ids.fraction()
        raise
    except (OutcomeUnknown, Unanswered) as error:
        raise OutcomeUnknown(str(error), jobs) from error
    return Receipt(jobs, messages)


async def _recall(desk: Desk, claim: Claim) -> Receipt | None:
    entries = await desk.answer((await desk.engine()).load([claim.entry]))
    entry = entries.get(claim.entry)
    return None if entry is None else Receipt(claim.recall(entry.value), replayed=True)
