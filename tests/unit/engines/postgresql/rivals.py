"""Steps for tests in which one waits for what another has locked."""

from __future__ import annotations

from typing import Any

import psycopg

from headrace.engines.postgresql import leasing
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.marks import Marks
from headrace.engines.postgresql.plan import Moment, NewQueues, Plan, make_queues, run
from headrace.write import Lease
from tests.faults.processes import until
from tests.postgresql import Place


def begun(link: Link, plan: Any) -> Any:
    """Run `plan(moment)` in a transaction that stays open, and return its answer."""
    for _ in range(2):
        now = link.begin()
        made: Plan[Any] = plan(Moment(now, now))
        try:
            return run(link.ask, made)
        except NewQueues as new:
            link.rollback()
            run(link.ask, make_queues(new.names, Moment(now, now)))
    raise AssertionError("a queue that was made is not there")


def claimed(link: Link, *, limit: int = 1) -> tuple[Lease, ...]:
    """Claim jobs in a transaction that stays open.

    It is not the first claim of a schema: all others would wait for that one to renew the tokens.
    """
    begun(link, lambda _: leasing.renew_tokens())
    link.say("commit")
    claim = leasing.Claim(
        queues=("default",), limit=limit, seconds=30.0, name="rival.0123456789abcdef"
    )
    marks = Marks(lambda: 0.0)
    leases: tuple[Lease, ...] = begun(link, lambda moment: leasing.lease(claim, moment, marks))
    return leases


def somebody_waits(place: Place, count: int = 1) -> None:
    """Wait until a statement waits for a lock, or several do."""
    with psycopg.connect(place.server, autocommit=True) as connection:

        def waits() -> bool:
            row = connection.execute(
                "select count(*) from pg_stat_activity"
                " where wait_event_type = 'Lock' and application_name = 'headrace'"
            ).fetchone()
            return row is not None and row[0] >= count

        until(waits, "somebody to wait for a lock", 10, show=str)
