"""Dispatcher: finds jobs that have ended and of whom somebody wants to know; sends the deliveries.

Any number of dispatchers may run, and each may die at any moment. What one finds it takes over in
one commit, which deletes the interest if it is still there and sends the deliveries: of rivals, one
succeeds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from headrace.app import App
from headrace.engine import Engine, Entry
from headrace.errors import Conflict, EngineError, Refused
from headrace.record import Record
from headrace.service import Service
from headrace.webhooks import endpoints, event, interest
from headrace.webhooks.endpoint import Endpoint, tenant_of
from headrace.webhooks.envelope import ENDPOINT_TAG, JOB_TAG, Content, envelope
from headrace.webhooks.event import TENANT_TAG, Event
from headrace.webhooks.interest import Interest
from headrace.write import Delete, Put, Send, Write

_log = logging.getLogger("headrace")

_INTERVAL_SECONDS = 5.0
_TURN = "webhook-turn"
_TURN_SECONDS = 60.0
_PAGE = 500
_BATCH = 100
_REST_SECONDS = 0.02
_REST_FACTOR = 30
_LONGEST_REST = 1.0
_GONE_SECONDS = 600.0
_REMEMBERED = 10_000


class Dispatcher:
    """Looks after the hint "finished", and every five seconds in case one was lost.

    Each look is at the oldest jobs that somebody wants to know of, as those end first as a rule. If
    there are more than a page of them, one dispatcher of all goes through the others, page by page,
    and rests thirty times as long as looking took: with a hundred thousand of them it takes a
    thirtieth of a core, however many dispatchers there are.

    Args:
        app: whose jobs are told of; its engine is open.
        engine: looks at that one.
    """

    def __init__(self, app: App, engine: Engine) -> None:
        self._engine = engine
        self._deadline = app.config.deadline
        self._clock, self._ids = app.clock, app.ids
        self._after = ""
        self._took = 0.0
        self._missed: dict[str, float] = {}
        self._unwatch: Callable[[], None] | None = None
        self._stopping = threading.Event()
        self._service = Service(
            "headrace-dispatcher", self._tick, _INTERVAL_SECONDS, app.ids.fraction
        )

    def start(self) -> None:
        """Begin to look."""
        self._stopping.clear()
        self._unwatch = self._engine.watch("finished", self._service.wake)
        self._service.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._unwatch is not None:
            self._unwatch()
        self._service.stop()

    def look(self) -> bool:
        """Look at the oldest page, and perhaps at one more; send what is to be sent.

        Returns:
            Whether there is nothing more to look at now.
        """
        oldest = self._page("")
        if len(oldest) < _PAGE:
            return True
        if not self._after and not self._may_go_on():
            return True
        self._after = max(self._after, oldest[-1].key)
        page = self._page(self._after)
        if len(page) == _PAGE:
            self._after = page[-1].key
            return False
        self._after = ""
        self._engine.apply(Delete(_TURN)).wait(self._deadline)
        return True

    def _tick(self) -> float | None:
        self._took = 0.0
        try:
            over = self.look()
        except (EngineError, Refused) as error:  # such as a full disk; a worker ends by itself
            _log.info("no webhooks are dispatched now: %s", error)
            over = True
        self._stopping.wait(min(max(_REST_SECONDS, _REST_FACTOR * self._took), _LONGEST_REST))
        return None if over else 0.0

    def _page(self, after: str) -> tuple[Entry, ...]:
        began = self._clock.monotonic()
        reply = self._engine.scan(interest.PREFIX, limit=_PAGE, after=after)
        entries = reply.wait(self._deadline)
        ended = self._ended(entries)
        self._took += self._clock.monotonic() - began
        for start in range(0, len(ended), _BATCH):
            self._take_over(ended[start : start + _BATCH])
        return entries

    def _may_go_on(self) -> bool:
        """Return whether it is this dispatcher's turn to go through all pages."""
        put = Put(_TURN, b"", expect=0, expires_after=_TURN_SECONDS)
        try:
            self._engine.apply(put).wait(self._deadline)
        except Conflict:
            return False
        return True

    def _ended(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries whose jobs have ended; of those long gone, it is taken for granted."""
        if not entries:
            return []
        states = self._engine.states([_job_of(entry) for entry in entries]).wait(self._deadline)
        now = self._clock.monotonic()
        ended = []
        for entry in entries:
            state = states.get(_job_of(entry))
            if state is None:
                if self._is_gone(entry.key, now):
                    ended.append(entry)
            elif state.terminal:
                ended.append(entry)
        return ended

    def _is_gone(self, key: str, now: float) -> bool:
        """Give a job that is not there some time: it may be about to move to another engine."""
        if len(self._missed) >= _REMEMBERED:
            self._missed.clear()
        return now - self._missed.setdefault(key, now) >= _GONE_SECONDS

    def _take_over(self, entries: Sequence[Entry]) -> None:
        records = self._engine.get([_job_of(entry) for entry in entries]).wait(self._deadline)
        known = endpoints.read_all(self._engine, self._deadline)
        each = [self._writes(entry, records.get(_job_of(entry)), known) for entry in entries]
        try:
            self._commit(each)
        except Conflict:
            for writes in each:  # a rival has taken over some of them
                try:
                    self._commit([writes])
                except Conflict:
                    continue
        for entry in entries:
            self._missed.pop(entry.key, None)

    def _commit(self, each: Sequence[tuple[Delete, Send | None]]) -> None:
        deletes: list[Write[object]] = [delete for delete, _ in each]
        messages = tuple(m for _, send in each if send is not None for m in send.messages)
        writes = [*deletes, Send(messages)] if messages else deletes
        self._engine.commit(writes).wait(self._deadline)

    def _writes(
        self, entry: Entry, record: Record | None, known: Sequence[Endpoint]
    ) -> tuple[Delete, Send | None]:
        about, job_id = interest.read(entry.value), _job_of(entry)
        what = self._event(about, job_id, record)
        trace = None if record is None else record.message.trace
        contents = [
            Content(event=what.id, body=what.body, endpoint=there.id)
            for there in _concerned(about, record, known, what.type)
        ]
        tenant = tenant_of(about.tags)
        if about.callback is not None:
            contents.append(
                Content(event=what.id, body=what.body, url=about.callback, tenant=tenant)
            )
        messages = tuple(
            envelope(each, self._ids.job_id(), _tags(each, job_id, tenant), trace)
            for each in contents
        )
        delete = Delete(entry.key, expect=entry.version)
        return delete, Send(messages) if messages else None

    def _event(self, about: Interest, job_id: str, record: Record | None) -> Event:
        event_id = self._ids.job_id()
        if record is not None:
            return event.ended(record, event_id)
        return event.pruned(job_id, about.task, about.queue, about.tags, event_id)


def _concerned(
    about: Interest, record: Record | None, known: Sequence[Endpoint], kind: str
) -> list[Endpoint]:
    return [
        endpoint
        for endpoint in known
        if endpoint.may_want(about.task, about.queue, about.tags)
        and endpoint.wants(kind)
        and (record is None or endpoint.created_at <= record.accepted_at)
    ]


def _tags(content: Content, job_id: str, tenant: str | None) -> tuple[str, ...]:
    endpoint = () if content.endpoint is None else (ENDPOINT_TAG + content.endpoint,)
    owner = () if tenant is None else (TENANT_TAG + tenant,)
    return (JOB_TAG + job_id, *endpoint, *owner)


def _job_of(entry: Entry) -> str:
    return entry.key.removeprefix(interest.PREFIX)
