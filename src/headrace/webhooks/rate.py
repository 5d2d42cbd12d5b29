"""Rate: how many deliveries a second an endpoint is sent, by all processes together."""

from __future__ import annotations

import msgspec

from headrace.callers import answer
from headrace.engine import Engine
from headrace.errors import Conflict
from headrace.write import Put

_PREFIX = "webhook-rate/"
_FORGOTTEN_AFTER = 60.0


async def take(engine: Engine, endpoint_id: str, rate: float, now: float, deadline: float) -> float:
    """Take the next turn, if it has come.

    The store remembers when the next one comes, and of two that want it compare-and-set gives it to
    one (the generic cell rate algorithm, ITU-T I.371, without bursts).

    Args:
        engine: has the store.
        endpoint_id: whose turns they are.
        rate: turns a second.
        now: seconds since 1970 UTC.
        deadline: seconds that one call of the engine may take.

    Returns:
        0 if it was taken; else the seconds until the next one comes.
    """
    key, interval = _PREFIX + endpoint_id, 1 / rate
    entry = (await answer(engine.load([key]), deadline)).get(key)
    comes_at = 0.0 if entry is None else msgspec.json.decode(entry.value, type=float)
    if comes_at > now:
        return comes_at - now
    put = Put(
        key,
        msgspec.json.encode(now + interval),
        expect=0 if entry is None else entry.version,
        expires_after=interval + _FORGOTTEN_AFTER,
    )
    try:
        await answer(engine.apply(put), deadline)
    except Conflict:
        return interval
    return 0.0
