"""Housekeeping, in small steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from headrace.engine import Maintained
from headrace.engines.postgresql.leasing import reap, wake_due
from headrace.engines.postgresql.plan import Moment, Plan, array, do
from headrace.write import Reclaimed

_PRUNE_LIMIT = 500
_FORGET_LIMIT = 500
_RECEIPT_SECONDS = 600.0
"""Far longer than anybody asks what became of a commit."""
_RECEIPTS_EVERY = 60.0
"""Seconds between looks for old receipts: each look reads all of them."""

FEW_PAGES = 100
"""Of leases, which are read within about a millisecond."""
_SECONDS_PER_PAGE = 1e-3
"""Time between looks at leases, for every page: some hundred times what it takes to read one."""
_LONGEST = 10.0
"""No lease that has ended goes unseen for longer, in seconds."""


class Search(NamedTuple):
    """What housekeeping looks for, or finds, where no index leads to it.

    Attributes:
        receipts: old receipts.
        leases: leases that have ended.
    """

    receipts: bool = True
    leases: bool = True


class Rounds:
    """When one process looks again for what only shows when all there is has been read.

    Leases are few, so all of them are read each time. But as long as somebody anywhere in the
    database holds an old snapshot open, those that are gone are read as well: then the looks are
    rarer, the more there are.

    Args:
        time: tells seconds that only grow.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._receipts_at = self._leases_at = time()

    def next(self) -> Search:
        """Return what to look for now."""
        now = self._time()
        receipts = now >= self._receipts_at
        if receipts:
            self._receipts_at = now + _RECEIPTS_EVERY
        return Search(receipts=receipts, leases=now >= self._leases_at)

    def due(self, moment: Moment | None, search: Search) -> Plan[Search | None]:
        """Return what there is to do, None for nothing: by one statement, which writes nothing.

        Args:
            moment: the time; None leaves it to the server.
            search: what to look for.
        """
        now, steady = (None, None) if moment is None else moment
        ((found, ended, pages),) = yield do("keeping_due", now, steady, *search)
        if search.leases and pages > FEW_PAGES:
            self._leases_at = self._time() + min(_LONGEST, pages * _SECONDS_PER_PAGE)
        return search._replace(leases=ended) if found else None


def maintain(moment: Moment, search: Search = Search()) -> Plan[Maintained]:  # noqa: B008 - immutable
    """Reap expired leases, wake what is due, end what is late, prune what was kept long enough.

    Args:
        moment: the time.
        search: what to look for.
    """
    now = moment.now
    yield do("flow_fold", now)  # first: it locks queues, and those come before all else
    reaped = (yield from reap(moment)) if search.leases else Reclaimed()
    expired = yield from wake_due(now)
    rows = yield do("prune_take", now, _PRUNE_LIMIT)
    if rows:
        yield do("forget_jobs", array(sorted(seq for (seq,) in rows)))
    ((forgotten,),) = yield do("entries_expire", now, _FORGET_LIMIT)
    if search.receipts:
        yield do("receipts_forget", now - _RECEIPT_SECONDS)
    return Maintained(
        reclaimed=len(reaped.returned) + len(reaped.dead),
        expired=expired,
        pruned=len(rows),
        more=len(rows) == _PRUNE_LIMIT or forgotten == _FORGET_LIMIT,
    )
