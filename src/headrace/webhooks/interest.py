"""Interest: that somebody wants to know how a job ends; an entry of the store beside the job.

It is written in the commit that accepts the job, and deleted in the one that sends the deliveries.
So whatever dies in between, each ending is told once.
"""

from __future__ import annotations

import msgspec

from headrace.message import Message
from headrace.write import Put

PREFIX = "callback/"
CALLBACK = "webhook-callback"
"""The header of a job that says where to tell how it ended."""


class Interest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What can still be told of a job when the ledger has forgotten it.

    Attributes:
        task: the job's task.
        queue: its queue.
        tags: its tags.
        callback: a URL that its submitter gave; None: perhaps an endpoint wants to know.
    """

    task: str
    queue: str
    tags: tuple[str, ...] = ()
    callback: str | None = None


def key(job_id: str) -> str:
    """Return the entry's key; those of older jobs come first."""
    return PREFIX + job_id


def of(message: Message) -> Put:
    """Return the write that says so."""
    callback = message.headers.get(CALLBACK)
    interest = Interest(message.task, message.queue, message.tags, callback)
    return Put(key(message.id), msgspec.json.encode(interest))


def read(value: bytes) -> Interest:
    """Return what an entry says."""
    return msgspec.json.decode(value, type=Interest)
