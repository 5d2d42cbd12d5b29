"""Request: something to be written, from its caller to the server and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headrace.engine import Topic
from headrace.engines.redis.asking import Verb
from headrace.engines.redis.scripts import Script
from headrace.errors import EngineBusy, HeadraceError, OutcomeUnknown
from headrace.reply import Reply


class Request(msgspec.Struct, kw_only=True, eq=False):
    """Something to be written.

    Attributes:
        script: what carries it out.
        note: its own random name: the server remembers the answer under it for a while.
        body: what the script is told; empty for requests that are written as one.
        decode: makes an answer of what the script says, or raises why not.
        reply: who waits for it.
        until: when it is too late for an answer, by the writer's clock.
        facts: new jobs, if it is about nothing else: such requests are written as one.
        blobs: further arguments.
        ids: the jobs it is about, for `OutcomeUnknown`.
        topics: what to hint at when it is done.
        queues: where it wants jobs from; empty if it wants none.
        patience: seconds (of the writer's clock) until which an empty answer is held back.
        repeatable: whether doing it twice does no harm.
        sent: whether the server may have got it.
    """

    script: Script
    note: str
    body: bytes
    decode: Callable[[Any], Any]
    reply: Reply[Any]
    until: float
    facts: Sequence[Verb] = ()
    blobs: Sequence[bytes] = ()
    ids: Callable[[], Sequence[str]] = tuple
    topics: tuple[Topic, ...] = ()
    queues: tuple[str, ...] = ()
    patience: float = 0.0
    repeatable: bool = False
    sent: bool = False

    def overdue(self, why: Exception) -> HeadraceError:
        """Return what its caller is told when the server was away for too long."""
        if not self.sent or self.repeatable:
            return EngineBusy(f"Redis was away for too long; try again ({why})")
        ids = self.ids()
        return OutcomeUnknown(
            f"Redis went away, and whether {len(ids)} jobs were written is not known: ask"
            f" `app.job(id)` for each when it is back ({why})",
            ids,
        )
