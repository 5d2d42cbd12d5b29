"""Housekeeping, in small steps."""

from __future__ import annotations

from headrace.engine import Maintained
from headrace.engines.postgresql.leasing import reap, wake_due
from headrace.engines.postgresql.plan import Moment, Plan, array, do

_PRUNE_LIMIT = 500
_FORGET_LIMIT = 500
_RECEIPT_SECONDS = 600.0
"""Far longer than anybody asks what became of a commit."""


def maintain(moment: Moment) -> Plan[Maintained]:
    """Reap expired leases, wake what is due, end what is late, prune what was kept long enough."""
    now = moment.now
    yield do("flow_fold", now)  # first: it locks queues, and those come before all else
    reaped = yield from reap(moment)
    expired = yield from wake_due(now)
    rows = yield do("prune_take", now, _PRUNE_LIMIT)
    if rows:
        yield do("forget_jobs", array(sorted(seq for (seq,) in rows)))
    ((forgotten,),) = yield do("entries_expire", now, _FORGET_LIMIT)
    yield do("receipts_forget", now - _RECEIPT_SECONDS)
    return Maintained(
        reclaimed=len(reaped.returned) + len(reaped.dead),
        expired=expired,
        pruned=len(rows),
        more=len(rows) == _PRUNE_LIMIT or forgotten == _FORGET_LIMIT,
    )
