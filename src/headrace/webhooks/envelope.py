"""Envelope: the message of the job that tells one receiver of one event."""

from __future__ import annotations

import msgspec

from headrace.message import VERSION, Message

TASK = "headrace.webhook"
QUEUE = "webhooks"
ENDPOINT_TAG = "endpoint:"
JOB_TAG = "job:"


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told, and to whom.

    Attributes:
        event: id of the event, the same in every delivery of it.
        body: the text that is sent, byte by byte.
        endpoint: id of the endpoint that is told.
        url: where to send it, if it is a callback.
        tenant: whose keys sign a callback.
    """

    event: str
    body: str
    endpoint: str | None = None
    url: str | None = None
    tenant: str | None = None


def envelope(
    content: Content, delivery_id: str, tags: tuple[str, ...], trace: str | None = None
) -> Message:
    """Return the message of a delivery.

    Args:
        content: what is told.
        delivery_id: the id of the delivery.
        tags: whose it is, and what it is about.
        trace: the trace context that it belongs to.
    """
    body = msgspec.Raw(msgspec.json.encode({"content": content}))
    return Message(
        v=VERSION, id=delivery_id, task=TASK, queue=QUEUE, body=body, tags=tags, trace=trace
    )


def content(message: Message) -> Content:
    """Return what a delivery tells, and to whom."""
    return msgspec.json.decode(message.body, type=dict[str, Content])["content"]
