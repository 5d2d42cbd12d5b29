"""Delivery: the job that tells one receiver of one event, as often as it takes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from headrace.app import App
from headrace.context import Context
from headrace.declaration import Declaration
from headrace.errors import BlockedDestination, Conflict, NotDelivered
from headrace.outcome import Cancel, Dead, Snooze
from headrace.registry import Registry
from headrace.retry import Retry
from headrace.webhooks import address, endpoint, rate, signature
from headrace.webhooks.endpoint import Endpoint, SigningKey
from headrace.webhooks.endpoints import Endpoints
from headrace.webhooks.envelope import QUEUE, TASK, Content
from headrace.webhooks.event import MEDIA_TYPE, traceparent
from headrace.webhooks.gate import Gate, Gates
from headrace.webhooks.lookup import Lookup

if TYPE_CHECKING:
    from headrace.webhooks.sender import Answer, Sender

_log = logging.getLogger("headrace")

SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds after each failed attempt before the next: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
20 h, 24 h (Standard Webhooks 1.0, retry schedule)."""
GIVEN_UP_AFTER = 5 * 86_400.0
"""An endpoint to which every delivery has failed for so many seconds is switched off."""

_JITTER = 0.1
_LACKING_SECONDS = 60.0
_TIMEOUT = 60.0
_LARGEST_BODY = 512 * 1024
_GONE = 410


@dataclass(frozen=True, slots=True)
class _Receiver:
    """Where an attempt goes, and what signs it."""

    url: str
    name: str
    keys: list[str]
    endpoint: Endpoint | None = None

    @property
    def concurrency(self) -> int:
        return endpoint.CONCURRENCY if self.endpoint is None else self.endpoint.concurrency


class Deliveries:
    """Makes the attempts of one process.

    Args:
        app: whose jobs are told of.
        sender: sends; by default one by the App's settings, made at the first attempt.
    """

    def __init__(self, app: App, sender: Sender | None = None) -> None:
        self._app = app
        self._sender = sender
        self._gates = Gates()

    def registry(self) -> Registry:
        """Return the App's tasks, and the one that delivers.

        Raises:
            InvalidOption: the App has a task of that name.
        """
        app = self._app
        registry = Registry(app.registry)
        config = msgspec.structs.replace(app.config, max_payload=_LARGEST_BODY)
        declare = Declaration(registry, app, config)

        async def deliver(ctx: Context, content: Content) -> dict[str, int]:
            return await self.attempt(ctx, content)

        # Retry says how often; when, each attempt says itself.
        rule = Retry(attempts=len(SCHEDULE) + 1)
        declare(name=TASK, queue=QUEUE, retry=rule, timeout=_TIMEOUT)(deliver)
        return registry

    async def attempt(self, ctx: Context, content: Content) -> dict[str, int]:
        """Try once to deliver, and return the status that the receiver answered with.

        Raises:
            Retry: it failed, and is to be tried again.
            Snooze: there is no room now.
            Dead: it is pointless to try again.
            Cancel: the endpoint is gone, or switched off.
        """
        monotonic = self._app.clock.monotonic
        sender = self._sender or self._make_sender()
        receiver = await self._receiver(content)
        gate, began = self._gates.of(receiver.name), monotonic()
        if wait := gate.enter(began, receiver.concurrency):
            raise Snooze(wait, "enough deliveries to this receiver go on")
        try:
            await self._keep_rate(receiver.endpoint, gate)
            headers = self._headers(ctx, receiver, content)
            answer = await sender.post(receiver.url, headers, content.body.encode())
        except BlockedDestination as error:
            await self._note_failure(receiver.endpoint)
            raise Dead(f"blocked-destination: {error}") from None
        except NotDelivered as error:
            raise await self._failure(ctx, receiver, str(error), 0.0) from None
        finally:
            gate.leave(began, monotonic())
        return await self._judge(ctx, receiver, answer)

    def _make_sender(self) -> Sender:
        try:  # it takes a while to import, and most workers deliver nothing
            from headrace.webhooks.sender import Sender  # noqa: PLC0415 - as above
        except ImportError:
            _log.error("webhooks wait: this worker needs headrace[webhooks] to deliver them")
            raise Snooze(_LACKING_SECONDS, "this worker lacks headrace[webhooks]") from None
        allowed = address.networks(self._app.config.webhook_allow)
        self._sender = Sender(Lookup(allowed), self._app.clock)
        return self._sender

    async def _registered(self) -> Endpoints:
        return Endpoints((await self._app.aintake()).engine, self._app.config.deadline)

    async def _receiver(self, content: Content) -> _Receiver:
        registered, now = await self._registered(), self._app.clock.now()
        if content.endpoint is None:
            keys = await callback_keys(self._app, registered, content.tenant)
            url = content.url or ""
            return _Receiver(
                url, url.partition("//")[2].partition("/")[0], endpoint.current(keys, now)
            )
        found = await registered.get(content.endpoint)
        if found is None or not found[0].enabled:
            raise Cancel("the endpoint is gone" if found is None else "the endpoint is disabled")
        there = found[0]
        return _Receiver(there.url, there.id, endpoint.current(there.keys, now), there)

    async def _keep_rate(self, there: Endpoint | None, gate: Gate) -> None:
        if there is None or there.rate is None:
            return
        clock, deadline = self._app.clock, self._app.config.deadline
        engine = (await self._app.aintake()).engine
        if wait := await rate.take(engine, there.id, there.rate, clock.now(), deadline):
            later = gate.later(clock.monotonic(), 1 / there.rate)
            raise Snooze(max(wait, later), "the endpoint's rate is kept")

    def _headers(self, ctx: Context, receiver: _Receiver, content: Content) -> dict[str, str]:
        now, body = int(self._app.clock.now()), content.body.encode()
        fields = signature.headers(receiver.keys, content.event, now, body)
        if (parent := traceparent(ctx.trace)) is not None:
            fields["traceparent"] = parent
        return {"Content-Type": MEDIA_TYPE, **fields}

    async def _judge(self, ctx: Context, receiver: _Receiver, answer: Answer) -> dict[str, int]:
        """Only 2xx is success: a redirect may lead anywhere, and is not followed."""
        there = receiver.endpoint
        if 200 <= answer.status < 300:  # noqa: PLR2004 - as RFC 9110 §15 counts
            if there is not None and there.failing_since is not None:
                await (await self._registered()).change(there.id, failing_since=None)
            return {"status": answer.status}
        if answer.status == _GONE:
            await self._disable(there, "it answered 410 Gone")
            raise Dead("HTTP 410: the receiver wants nothing more")
        wish = answer.retry_after or 0.0
        raise await self._failure(ctx, receiver, f"HTTP {answer.status}", wish)

    async def _failure(
        self, ctx: Context, receiver: _Receiver, reason: str, retry_after: float
    ) -> Retry:
        await self._note_failure(receiver.endpoint)
        wait = SCHEDULE[min(ctx.attempt, len(SCHEDULE)) - 1]
        spread = 1 + _JITTER * (2 * self._app.ids.fraction() - 1)
        return Retry(reason, delay=max(wait * spread, retry_after))

    async def _note_failure(self, there: Endpoint | None) -> None:
        now = self._app.clock.now()
        if there is None:
            return
        if there.failing_since is None:
            await (await self._registered()).change(there.id, failing_since=now)
        elif now - there.failing_since >= GIVEN_UP_AFTER:
            await self._disable(there, "every delivery failed for five days")

    async def _disable(self, there: Endpoint | None, reason: str) -> None:
        if there is None:
            return
        await (await self._registered()).change(there.id, enabled=False, disabled_because=reason)
        _log.warning("the webhook endpoint %s is switched off: %s", there.id, reason)
        self._app.telemetry.event("webhook.disabled", endpoint=there.id, reason=reason)


async def callback_keys(
    app: App, registered: Endpoints, tenant: str | None
) -> tuple[SigningKey, ...]:
    """Return what signs the callbacks of a tenant's jobs; it is made at the first use.

    Args:
        app: has the randomness.
        registered: keeps the keys.
        tenant: whose jobs; None: those of nobody in particular.
    """
    keys, version = await registered.keys(tenant)
    while not version:
        keys = (
            SigningKey(signature.new_secret(app.ids)),
            SigningKey(signature.new_private_key(app.ids)),
        )
        try:
            await registered.put_keys(tenant, keys, 0)
        except Conflict:
            keys, version = await registered.keys(tenant)
        else:
            return keys
    return keys
