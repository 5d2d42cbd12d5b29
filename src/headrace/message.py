"""Message: a job on the wire and in the database, one JSON text that other languages can read.

Changing the envelope: a new field gets a default that means "as before", so that old readers and
old rows stay valid. A change that old readers would misunderstand gets a new `v`, and engines
refuse a version they do not know. `docs/reference/protocol.md` describes every field; change it in
the same commit.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from headrace.errors import InvalidOption
from headrace.retry import RetryPolicy

VERSION = 1

PRIORITY_LIMIT = 1_000_000
KEY_LENGTH_LIMIT = 255
TAGS_LIMIT = 32
HEADERS_SIZE_LIMIT = 16_384
NO_TIMEOUT = 0.0
"""The timeout of a message that lifts its task's; none at all leaves it to the task."""
SECONDS_LIMIT = 366 * 100 * 86_400.0

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}")

OnConflict = Literal["reject", "replace"]
OnWait = Literal["hold", "skip"]


class Retention(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How long finished jobs are kept, in seconds.

    Attributes:
        succeeded: after success or cancellation; 7 days.
        dead: as a dead letter; 30 days.

    Raises:
        InvalidOption: one of them is no number from 0 to 100 years.
    """

    succeeded: float = 7 * 86_400.0
    dead: float = 30 * 86_400.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if type(seconds) not in (int, float) or not 0 <= seconds <= SECONDS_LIMIT:
                message = (
                    f"Retention({name}={seconds!r}): must be seconds from 0 to"
                    f" {SECONDS_LIMIT:.0f}, which is 100 years"
                )
                raise InvalidOption(message)


class Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,  # texts and numbers make no cycles, and there may be very many
):
    """The envelope of a job.

    Attributes:
        v: version of the envelope.
        id: UUIDv7; sending the same id twice is refused.
        task: name of the task.
        body: the arguments, a JSON object by parameter name, as raw bytes.
        queue: name of the queue.
        priority: higher runs earlier; 0 by default.
        delay: seconds after acceptance, by the engine's clock, before it becomes ready.
        run_at: the same as a moment, seconds since 1970 UTC. At most one of the two is set.
        expires_after: seconds after acceptance; not started by then, the job is dead ("expired").
        expires: the same as a moment. At most one of the two is set.
        unique_key: at most one live job holds it.
        on_conflict: what happens when another live job holds the unique key.
        order_key: jobs with the same key in one queue run one after another, in order.
        order_on_wait: whether this job, while it waits for a moment, holds its group or is skipped.
        attempt: attempts already made before this envelope was sent; 0 for a new job.
        timeout: seconds a run may take; 0: as many as it likes; None: the task's.
        lease: seconds a claim is valid without a heartbeat; None: the worker's.
        retry: how it is tried again; None: the task's.
        retention: how long it is kept when finished; None: the default.
        tags: words to find it by.
        headers: small texts that travel with it.
        trace: the caller's trace context, a W3C `traceparent`.
    """

    v: int
    id: str
    task: str
    body: msgspec.Raw
    queue: str = "default"
    priority: int = 0
    delay: float | None = None
    run_at: float | None = None
    expires_after: float | None = None
    expires: float | None = None
    unique_key: str | None = None
    on_conflict: OnConflict = "reject"
    order_key: str | None = None
    order_on_wait: OnWait = "hold"
    attempt: int = 0
    timeout: float | None = None
    lease: float | None = None
    retry: RetryPolicy | None = None
    retention: Retention | None = None
    tags: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    trace: str | None = None

    @property
    def expiring(self) -> bool:
        """Whether it must start in time."""
        return self.expires is not None or self.expires_after is not None


def check_name(kind: str, name: object) -> str:
    """Return a task's or queue's name, if it is one.

    Raises:
        InvalidOption: it is not 1 to 128 letters, digits, `_ . : -`, beginning with one of the
            first three.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = (
            f"{kind} name {name!r:.200}: use 1 to 128 ASCII letters, digits and `_ . : -`,"
            " beginning with a letter, digit or `_`"
        )
        raise InvalidOption(message)
    return name


def check_key(kind: str, key: object) -> str:
    """Return an order key or unique key, if it is one.

    Raises:
        InvalidOption: it is empty, longer than 255 characters, or not a text without control
            characters.
    """
    if not (isinstance(key, str) and 0 < len(key) <= KEY_LENGTH_LIMIT and key.isprintable()):
        message = f"{kind} {key!r:.200}: use 1 to {KEY_LENGTH_LIMIT} printable characters"
        raise InvalidOption(message)
    return key
