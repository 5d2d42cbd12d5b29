"""Signing: the keys that sign the callbacks of jobs, for those who receive them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.errors import Conflict
from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk
from headrace.gateway.portrait import MEDIA_TYPE, encode, moment
from headrace.gateway.problem import Problem
from headrace.webhooks import signature
from headrace.webhooks.delivery import callback_keys
from headrace.webhooks.endpoint import SigningKey, rotated
from headrace.webhooks.endpoints import Endpoints

_SCOPE = "webhooks"
_OVERLAP = 86_400.0


class Signing:
    """Tells the public keys of callbacks, and changes the secret.

    Each tenant has its own. A callback is signed by a pair of keys, and by a secret for receivers
    that know nothing else.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/v1/webhooks/keys", self._show, methods=["GET"]),
            Route("/v1/webhooks/keys/rotate-secret", self._rotate, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        """Tell the public keys that verify callbacks."""
        caller = await self._desk.caller(request, _SCOPE)
        app = self._desk.app
        keys = await callback_keys(app, await self._store(), caller.tenant)
        return _response(keys)

    async def _rotate(self, request: Request) -> Response:
        """Make a new secret, and a new pair; the old ones sign for a day as well."""
        caller = await self._desk.caller(request, _SCOPE)
        keys = await self._rotated(caller)
        secret = next(key.text for key in keys if key.text.startswith("whsec_"))
        return _response(keys, secret=secret)

    async def _rotated(self, caller: Caller) -> tuple[SigningKey, ...]:
        app, store = self._desk.app, await self._store()
        await callback_keys(app, store, caller.tenant)
        keys, version = await store.keys(caller.tenant)
        now = app.clock.now()
        for new in (signature.new_private_key(app.ids), signature.new_secret(app.ids)):
            keys = rotated(keys, new, now, _OVERLAP)
        try:
            await store.put_keys(caller.tenant, keys, version)
        except Conflict:
            raise Problem("conflict", "somebody else has changed them just now") from None
        return keys

    async def _store(self) -> Endpoints:
        return Endpoints(await self._desk.engine(), self._desk.app.config.deadline)


def _response(keys: tuple[SigningKey, ...], **more: object) -> Response:
    listed = [
        {"public_key": signature.public_key(key.text), "until": moment(key.until)}
        for key in keys
        if key.text.startswith("whsk_")
    ]
    headers = {"Cache-Control": "no-store"}
    return Response(encode({"keys": listed, **more}), 200, headers, MEDIA_TYPE)
