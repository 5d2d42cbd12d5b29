"""Settings of a gateway: whom it serves, and the limits it sets before it reads anything."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a gateway. Sizes are bytes, times are seconds.

    Attributes:
        hosts: names that a request may be addressed to, with `*.` for any subdomain; a browser
            that was fooled about a name (DNS rebinding) is turned away. Ports do not matter.
        origins: web pages, such as `https://app.example`, that may open a WebSocket here and read
            answers.
        anonymous: whether whoever comes without a key may do everything.
        proxied: whether a proxy that ends TLS stands in front and sets `X-Forwarded-Proto`.
        max_body: a request's body, or one line of a batch in JSON lines.
        max_stream: all lines of a batch in JSON lines.
        max_url: the address of a request.
        max_headers: all header fields together.
        max_depth: levels of nesting in JSON.
        max_keys: members of objects in one body; in a batch, in one job.
        max_batch: calls in one batch.
        max_requests: requests that are being handled at a time.
        max_waiters: requests, streams and sockets that wait for jobs at a time.
        max_message: one message on a WebSocket.
        body_timeout: until a body has arrived; a batch in JSON lines has as much for each further
            `max_body` of it.
        wait_default: a long poll that names no time.
        wait_limit: the longest long poll.
        idempotency: how long an Idempotency-Key is remembered.
        inline_result: a result up to this size is part of the job.
    """

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    origins: tuple[str, ...] = ()
    anonymous: bool = False
    proxied: bool = False
    max_body: Count = 1024 * 1024
    max_stream: Count = 16 * 1024 * 1024
    max_url: Count = 8 * 1024
    max_headers: Count = 16 * 1024
    max_depth: Count = 64
    max_keys: Count = 10_000
    max_batch: Count = 1000
    max_requests: Count = 1000
    max_waiters: Count = 20_000
    max_message: Count = 64 * 1024
    body_timeout: Seconds = 10.0
    wait_default: Seconds = 25.0
    wait_limit: Seconds = 60.0
    idempotency: Seconds = 86_400.0
    inline_result: Count = 64 * 1024
