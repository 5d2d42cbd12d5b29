"""Housekeeping, in small steps."""

from __future__ import annotations

from headrace.engine import Maintained
from headrace.engines.postgresql.leasing import reap, wake_due
from headrace.engines.postgresql.plan import Moment, Plan, array, do

_PRUNE_LIMIT = 500
_FORGET_LIMIT = 500
_RECEIPT_SECONDS = 600.0
"""Far longer than anybody asks what became of a commit."""


RECEIPTS_EVERY = 60.0
"""Seconds between looks for old receipts: each look reads all of them."""


def due(moment: Moment | None, *, receipts: bool) -> Plan[bool]:
    """Return whether there is anything to do: by one statement, which writes nothing.

    Args:
        moment: the time; None leaves it to the server.
        receipts: whether to look for receipts.
    """
    now, steady = (None, None) if moment is None else moment
    ((found,),) = yield do("keeping_due", now, steady, receipts)
    return bool(found)


def maintain(moment: Moment, *, receipts: bool = True) -> Plan[Maintained]:
    """Reap expired leases, wake what is due, end what is late, prune what was kept long enough.

    Args:
        moment: the time.
        receipts: whether to forget old receipts, too.
    """
    now = moment.now
    yield do("flow_fold", now)  # first: it locks queues, and those come before all else
    reaped = yield from reap(moment)
    expired = yield from wake_due(now)
    rows = yield do("prune_take", now, _PRUNE_LIMIT)
    if rows:
        yield do("forget_jobs", array(sorted(seq for (seq,) in rows)))
    ((forgotten,),) = yield do("entries_expire", now, _FORGET_LIMIT)
    if receipts:
        yield do("receipts_forget", now - _RECEIPT_SECONDS)
    return Maintained(
        reclaimed=len(reaped.returned) + len(reaped.dead),
        expired=expired,
        pruned=len(rows),
        more=len(rows) == _PRUNE_LIMIT or forgotten == _FORGET_LIMIT,
    )
