"""Housekeeping, in small steps."""

from __future__ import annotations

import msgspec

from headrace.engine import Maintained
from headrace.engines.sqlite.changing import delete
from headrace.engines.sqlite.leasing import reap, wake_due
from headrace.engines.sqlite.plan import Plan, do

_PRUNE_LIMIT = 500
_FORGET_LIMIT = 500


def maintain(now: float, monotonic: float) -> Plan[Maintained]:
    """Reap expired leases, wake what is due, end what is late, prune what was kept long enough."""
    reaped = yield from reap(now, monotonic)
    expired = yield from wake_due(now)
    ((chosen,),) = yield do("prune_pick", now, _PRUNE_LIMIT)
    pruned = len(msgspec.json.decode(chosen))
    if pruned:
        yield from delete(chosen)
    yield do("entries_expire", now, _FORGET_LIMIT)
    ((forgotten,),) = yield do("changed_rows")
    return Maintained(
        reclaimed=len(reaped.returned) + len(reaped.dead),
        expired=expired,
        pruned=pruned,
        more=pruned == _PRUNE_LIMIT or forgotten == _FORGET_LIMIT,
    )
