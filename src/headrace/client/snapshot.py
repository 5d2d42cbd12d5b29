"""Snapshot: a job as a gateway told of it."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.record import State


class Remark(msgspec.Struct, frozen=True):
    """Why a job has no result.

    Attributes:
        cause: a word for programs, such as "attempts-spent".
        type: name of the exception's class.
        message: its text.
    """

    cause: str = ""
    type: str = ""
    message: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it was when the gateway answered.

    Attributes:
        id: its id.
        state: where it is in its life.
        task: the task's name.
        queue: the queue's name.
        priority: higher runs earlier.
        accepted_at: when it was accepted, as RFC 3339 writes it.
        finished_at: when it ended.
        run_at: when it is due.
        reason: why a ready job is not taken.
        attempt: attempts made so far.
        tags: words to find it by.
        progress: how far its run has come: `done`, `total`, `note`.
        result: what it returned, as plain data; a large one is not part of a snapshot.
        failure: why it has no result.
        links: where to go from here.
    """

    id: str
    state: State
    task: str
    queue: str
    priority: int = 0
    accepted_at: str = ""
    finished_at: str | None = None
    run_at: str | None = None
    reason: str = ""
    attempt: int = 0
    tags: tuple[str, ...] = ()
    progress: dict[str, Any] | None = None
    result: Any = None
    failure: Remark | None = None
    links: dict[str, str] = {}


class Page(msgspec.Struct, frozen=True):
    """A part of a list of jobs.

    Attributes:
        jobs: newest first.
        next_page_token: what gets the next part; None at the end.
    """

    jobs: tuple[Snapshot, ...] = ()
    next_page_token: str | None = None
