"""Session: one WebSocket: what its client wants to be told of, and what it has been told.

News are not queued but marked: of a job that changed many times while the socket was full, the
client gets the newest state. What a socket holds is bounded by what it subscribed to.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from headrace.errors import HeadraceError
from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk
from headrace.gateway.portrait import encode
from headrace.gateway.problem import Problem, of
from headrace.gateway.watching.channel import Channel
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.order import MISREAD, Order, Subscription, cursor_at, cursor_of, read
from headrace.gateway.watching.sight import Sight
from headrace.record import TERMINAL

GOING_AWAY = 1012  # service restart: come again
UNSUPPORTED = 1003
TOO_BIG = 1009
TOO_MANY = 4413
SLOW = 4408
TOO_OFTEN = 4429

JOBS_LIMIT = 1000
CHANNELS_LIMIT = 50
ORDERS_PER_SECOND = 50.0

_BURST = 100.0
_REPLIES_LIMIT = 200
_BACKLOG = 256
_STUCK_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0
_CATCH_UP = 500
_SLACK_SECONDS = 10.0


class Session:
    """Tells one client over a WebSocket. It is told by the feed, as a `Waiter`.

    Args:
        socket: open.
        caller: who it is.
        desk: serves.
        feed: brings the news.
    """

    __slots__ = (
        "_base",
        "_caller",
        "_channels",
        "_cursor",
        "_desk",
        "_ended",
        "_feed",
        "_jobs",
        "_pending",
        "_replies",
        "_sender",
        "_sending_since",
        "_socket",
        "_task",
        "_tokens",
        "_tokens_at",
        "_told",
    )

    def __init__(self, socket: WebSocket, caller: Caller, desk: Desk, feed: Feed) -> None:
        self._socket = socket
        self._caller = caller
        self._desk = desk
        self._feed = feed
        self._base = str(socket.scope.get("root_path", ""))
        self._jobs: set[str] = set()
        self._channels: set[Channel] = set()
        self._told: dict[str, Sight] = {}
        self._pending: dict[str, Sight | None] = {}
        self._replies: deque[bytes] = deque()
        self._cursor = cursor_of(desk.app.clock.now())
        self._sender: asyncio.Task[None] | None = None
        self._sending_since: float | None = None
        self._task: asyncio.Task[Any] | None = None
        self._ended = False
        self._tokens = _BURST
        self._tokens_at = 0.0

    async def run(self) -> None:
        """Serve the client until it leaves, or is sent away.

        Raises:
            Problem: too many wait already (503).
        """
        self._task = asyncio.current_task()
        try:
            with self._feed.waiting(self):
                await self._obey()
        except asyncio.CancelledError:
            if not self._ended:  # it was not this session that wanted to end
                raise
        finally:
            self._let_go()
            if self._sender is not None and not self._ended:
                self._sender.cancel()

    # What the feed tells --------------------------------------------------------------------------

    def tell(self, job_id: str, sight: Sight | None) -> None:
        """Take note of how a job is now."""
        if self._ended or (sight is not None and not self._caller.knows(sight.record.message)):
            return
        # The newest last: what is sent is then never newer than what still waits.
        self._pending.pop(job_id, None)
        self._pending[job_id] = sight
        self._send_soon()

    def miss(self, channel: Channel) -> None:
        """Tell the client that it may have missed jobs of a channel."""
        self._reply({"type": "reset", channel.kind: channel.name})

    def stop(self) -> None:
        """Send the client away: another process will serve it."""
        self._end(GOING_AWAY, self._cursor)

    def dismiss(self, code: int, reason: str) -> None:
        """Send the client away, for it may not know more."""
        self._end(code, reason)

    # What the client says -------------------------------------------------------------------------

    async def _obey(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                self._end(UNSUPPORTED, "send text")
            elif len(text) > self._desk.settings.max_message:
                self._end(TOO_BIG, f"the limit is {self._desk.settings.max_message} bytes")
            elif not self._has_token():
                self._end(TOO_OFTEN, f"the limit is {ORDERS_PER_SECOND:g} messages a second")
            elif not self._ended:
                await self._do(text)

    async def _do(self, text: str) -> None:
        try:
            order = read(text)
        except MISREAD as error:
            self._complain(Problem("malformed-request", str(error)))
            return
        try:
            match order:
                case Subscription(op="subscribe"):
                    await self._subscribe(order)
                case Subscription():
                    self._unsubscribe(order)
                case Order(op="ping"):
                    self._reply({"type": "pong"})
        except Problem as problem:
            self._complain(problem)
        except HeadraceError as error:
            self._complain(of(error))

    async def _subscribe(self, order: Subscription) -> None:
        since = None if order.cursor is None else cursor_at(order.cursor)
        channels = self._named(order)
        if self._are_too_many(order.jobs, channels):
            limits = f"{JOBS_LIMIT} jobs and {CHANNELS_LIMIT} tags and queues"
            self._end(TOO_MANY, f"subscribe to at most {limits}")
            return
        known = await self._desk.records(self._caller, order.jobs) if order.jobs else {}
        if unknown := [job_id for job_id in order.jobs if job_id not in known]:
            detail = "there are no such jobs, or they are no longer kept"
            self._complain(Problem("not-found", detail, jobs=unknown))
        self._reply(
            {
                "type": "subscribed",
                "cursor": self._cursor,
                "jobs": list(known),
                "tags": order.tags,
                "queues": order.queues,
            }
        )
        for job_id in known:
            self._told.pop(job_id, None)
            self._jobs.add(job_id)
            if not self._feed.watch(job_id, self):
                raise Problem("temporary-reduced-capacity", "too many jobs are watched: poll")
        for channel in channels:
            if channel not in self._channels:
                self._channels.add(channel)
                self._feed.join(channel, self)
            if since is not None:
                await self._catch_up(channel, since)

    def _unsubscribe(self, order: Subscription) -> None:
        for job_id in order.jobs:
            self._jobs.discard(job_id)
            self._told.pop(job_id, None)
            self._pending.pop(job_id, None)
            self._feed.unwatch(job_id, self)
        for channel in self._named(order):
            self._channels.discard(channel)
            self._feed.part(channel, self)
        told = {"jobs": order.jobs, "tags": order.tags, "queues": order.queues}
        self._reply({"type": "unsubscribed", **told})

    async def _catch_up(self, channel: Channel, since: float) -> None:
        """Tell of jobs of a channel that ended while the client was away, as far as it is known."""
        engine, clock = await self._desk.engine(), self._desk.app.clock
        reply = engine.find(channel.filter(TERMINAL), limit=_CATCH_UP)
        at, page = clock.now(), await self._desk.answer(reply)
        missed = [r for r in page.records if (r.finished_at or 0) >= since - _SLACK_SECONDS]
        for record in reversed(missed):
            self.tell(record.id, Sight(record, None, self._desk.settings.inline_result, at))
        if page.cursor is not None and len(missed) == len(page.records):
            self.miss(channel)

    def _named(self, order: Subscription) -> list[Channel]:
        order.check(self._caller)
        tenant = self._caller.tenant
        tags = [Channel("tag", tag, tenant) for tag in order.tags]
        return tags + [Channel("queue", queue, tenant) for queue in order.queues]

    def _are_too_many(self, jobs: Sequence[str], channels: Sequence[Channel]) -> bool:
        return (
            len(self._jobs.union(jobs)) > JOBS_LIMIT
            or len(self._channels.union(channels)) > CHANNELS_LIMIT
        )

    def _has_token(self) -> bool:
        now = asyncio.get_running_loop().time()
        come = (now - self._tokens_at) * ORDERS_PER_SECOND if self._tokens_at else 0.0
        self._tokens = min(self._tokens + come, _BURST) - 1
        self._tokens_at = now
        return self._tokens >= 0

    # What is sent ---------------------------------------------------------------------------------

    def _complain(self, problem: Problem) -> None:
        self._reply({"type": "error", "problem": problem.content})

    def _reply(self, content: object) -> None:
        if not self._ended:
            self._replies.append(encode(content))
            self._send_soon()

    def _send_soon(self) -> None:
        """Send what waits; who does not take it is sent away, with a cursor to go on from."""
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send())
            return
        since = self._sending_since
        stuck = since is not None and asyncio.get_running_loop().time() - since > _STUCK_SECONDS
        waiting = len(self._pending) + len(self._replies)
        if (stuck and waiting > _BACKLOG) or len(self._replies) > _REPLIES_LIMIT:
            self._end(SLOW, self._cursor)

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._replies or self._pending:
                if (text := self._next()) is not None:
                    self._sending_since = loop.time()
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        await self._socket.send_text(text.decode())
                    self._sending_since = None
            self._sender = None
        except TimeoutError:
            self._end(SLOW, self._cursor)
        except (WebSocketDisconnect, RuntimeError):  # it has left: `run` is told as well
            self._ended = True

    def _next(self) -> bytes | None:
        """Return the next message, if there is anything to tell; what was asked for comes first."""
        if self._replies:
            return self._replies.popleft()
        job_id = next(iter(self._pending))
        sight, told = self._pending.pop(job_id), self._told.get(job_id)
        if sight is None:
            self._forget(job_id)
            return encode({"type": "gone", "cursor": self._cursor, "id": job_id})
        message = self._message(sight, told)
        if sight.ended:
            self._forget(job_id)
        else:
            self._told[job_id] = sight
        if message is None:
            return None
        self._cursor = cursor_of(sight.at)
        return encode({"type": message[0], "cursor": self._cursor, **message[1]})

    def _message(self, sight: Sight, told: Sight | None) -> tuple[str, dict[str, Any]] | None:
        base = self._base
        if sight.ended:
            return "result", {"job": msgspec.Raw(sight.body(base))}
        if told is None:
            return "snapshot", {"job": msgspec.Raw(sight.body(base))}
        if sight.outline(base) != told.outline(base):
            return "state", {"job": sight.outline(base)}
        if sight.progress is not None and sight.progress != told.progress:
            return "progress", {"id": sight.record.id, "progress": sight.progress}
        return None

    # The end --------------------------------------------------------------------------------------

    def _forget(self, job_id: str) -> None:
        """Let go of a job of which there is nothing more to tell."""
        self._told.pop(job_id, None)
        self._jobs.discard(job_id)
        self._feed.unwatch(job_id, self)

    def _let_go(self) -> None:
        for job_id in self._jobs:
            self._feed.unwatch(job_id, self)
        for channel in self._channels:
            self._feed.part(channel, self)

    def _end(self, code: int, reason: str) -> None:
        """Close the socket; nothing more is sent."""
        if self._ended:
            return
        self._ended = True
        self._pending.clear()
        self._replies.clear()
        sender = self._sender
        self._sender = asyncio.get_running_loop().create_task(self._close(code, reason))
        if sender is not None and sender is not asyncio.current_task():
            sender.cancel()

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._socket.close(code, reason)
                return  # the server tells `run` that the socket is closed
        if self._task is not None:
            self._task.cancel()
