"""Doorkeeper: finds out who asks, by the API key that a request carries (RFC 6750)."""

from __future__ import annotations

from typing import NoReturn

from starlette.requests import HTTPConnection

from headrace.app import App
from headrace.callers import answer
from headrace.gateway.caller import ANONYMOUS, Caller
from headrace.gateway.door.keys import KEY_PREFIX, NOBODY, USE_PREFIX, Key, read, split
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings
from headrace.write import Put

CACHE_SECONDS = 4.0
"""How long a key is believed to be what it was: a revoked one opens nothing 5 s later, with time to
spare for looking it up."""
_CACHE_LIMIT = 10_000
_USE_SECONDS = 3600.0
"""So coarse is what the store remembers of a key's last use: it is not worth a write for each."""


class Doorkeeper:
    """Admits callers.

    Args:
        app: whose store has the keys.
        settings: say whether whoever shows no key is admitted.
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._known: dict[str, tuple[float, Key]] = {}
        self._used: dict[str, float] = {}

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """Return who asks.

        Raises:
            Problem: no key where one is needed, or one that opens nothing (401); which part of it
                was wrong is not told. Or the request does not make clear which key it shows (400).
        """
        fields = connection.scope["headers"]
        shown = [value.decode("latin-1") for name, value in fields if name == b"authorization"]
        if not shown:
            if self._settings.anonymous:
                return ANONYMOUS
            _refuse("")
        if len(shown) > 1:
            detail = "a request has one Authorization field"
            raise Problem("malformed-request", detail, _challenge("invalid_request"))
        scheme, _, token = shown[0].partition(" ")
        if scheme.lower() != "bearer":
            _refuse("")
        return await self._admit(token.strip(" "))

    async def holds(self, caller: Caller) -> bool:
        """Return whether who was admitted may still do what it might: for those that stay long."""
        if caller == ANONYMOUS:
            return True
        key = await self._key(caller.name)
        return key.live(self._app.clock.now()) and key.caller() == caller

    async def _admit(self, token: str) -> Caller:
        parts = split(token)
        if parts is None:
            _refuse("invalid_token")
        key_id, secret = parts
        key = await self._key(key_id)
        now = self._app.clock.now()
        if not key.opens(secret, now):
            _refuse("invalid_token")
        await self._note_use(key_id, now)
        return key.caller()

    async def _key(self, key_id: str) -> Key:
        """Return a key, as it is or was lately; an unknown one is nobody's."""
        at = self._app.clock.monotonic()
        until, key = self._known.get(key_id, (at, NOBODY))
        if at < until:
            return key
        engine = (await self._app.aintake()).engine
        # A scan for the whole of it: ids have one length, so it is no other's beginning.
        found = await answer(engine.scan(KEY_PREFIX + key_id, limit=1), self._app.config.deadline)
        key = read(found[0]) if found else NOBODY
        if len(self._known) >= _CACHE_LIMIT:
            self._known.clear()
        self._known[key_id] = at + CACHE_SECONDS, key
        return key

    async def _note_use(self, key_id: str, now: float) -> None:
        """Remember about when a key was used; nobody waits for that, and it may fail."""
        if now - self._used.get(key_id, 0.0) < _USE_SECONDS:
            return
        self._used[key_id] = now
        engine = (await self._app.aintake()).engine
        engine.apply(Put(USE_PREFIX + key_id, b"%d" % now))


def _challenge(error: str) -> dict[str, str]:
    told = f', error="{error}"' if error else ""
    return {"WWW-Authenticate": f'Bearer realm="headrace"{told}'}


def _refuse(error: str) -> NoReturn:
    """Refuse, and say no more than RFC 6750 §3.1 asks for: nothing, if nothing was shown."""
    detail = "show an API key: Authorization: Bearer hr_…"
    raise Problem("unauthenticated", detail, _challenge(error))
