"""What locks groups has its own transaction; of the rest, new jobs go together, claims last."""

from __future__ import annotations

from typing import Any

from headrace.engines.postgresql.plan import Moment, Plan
from headrace.engines.postgresql.request import Request, parts, units
from headrace.reply import Reply
from headrace.testing.steps import message


def request(**fields: Any) -> Request:
    def plan(_: Moment) -> Plan[None]:
        yield from ()

    return Request(plan=plan, reply=Reply(), until=0.0, **fields)


def test_who_is_alone_shares_no_transaction() -> None:
    one, alone, other = request(), request(alone=True), request()
    assert parts([one, alone, other]) == [[one, other], [alone]]
    assert parts([alone]) == [[alone]]


def test_new_jobs_are_one_and_claims_come_last() -> None:
    claim, send = request(queues=("q",)), request(messages=(message("a"),))
    other, more = request(), request(messages=(message("b"),))
    assert units([claim, send, other, more]) == [[other], [send, more], [claim]]
