"""What is accepted is durable and there once, whatever becomes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from headrace.app import App
from headrace.engine import Engine, Tx
from headrace.errors import Conflict, DuplicateJob, OutcomeUnknown, QueueFull
from headrace.gateway.caller import ANONYMOUS
from headrace.gateway.desk import Desk
from headrace.gateway.door.doorkeeper import Doorkeeper
from headrace.gateway.gateway import Gateway
from headrace.gateway.handover.acceptance import Receipt, accept
from headrace.gateway.handover.draft import Draft, called
from headrace.gateway.handover.idempotency import Claim
from headrace.gateway.problem import Problem
from headrace.message import Message
from headrace.options import Options
from headrace.record import QueueLimits
from headrace.reply import Reply
from headrace.write import LimitQueue, Put, Write

CLAIM = Claim("idempotency/1", "mark", 60.0)


@pytest.fixture
def desk(app: App, gateway: Gateway) -> Desk:
    return Desk(app, gateway.settings, Doorkeeper(app, gateway.settings))


def draft(app: App, **options: Any) -> Draft:
    chosen = Options(**options) if options else None
    return Draft(called(app.registry.get("add"), b'{"left":1}'), chosen, ANONYMOUS)


def accepted(desk: Desk, *drafts: Draft, claim: Claim | None = None, **more: Any) -> Receipt:
    return asyncio.run(accept(desk, drafts, claim, **more))


def count(app: App) -> int:
    return sum(status.ready for status in app.engine.depth().wait(5))


def test_a_receipt_has_the_jobs_in_order(app: App, desk: Desk) -> None:
    receipt = accepted(desk, draft(app), draft(app, priority=4))
    assert [message.id for message in receipt.messages] == list(receipt.jobs)
    assert receipt.messages[1].priority == 4
    assert app.engine.get(receipt.jobs).wait(5).keys() == set(receipt.jobs)


def test_a_key_is_written_with_its_jobs_and_recalled(app: App, desk: Desk) -> None:
    first = accepted(desk, draft(app), claim=CLAIM)
    again = accepted(desk, draft(app), claim=CLAIM)
    assert (again.jobs, again.replayed) == (first.jobs, True)
    assert count(app) == 1
    with pytest.raises(Problem, match="use a new key"):
        accepted(desk, draft(app), claim=Claim(CLAIM.entry, "other", 60.0))


def test_what_was_accepted_stays_so_whatever_the_engine_says_now(app: App, desk: Desk) -> None:
    unique = draft(app, unique_key="u")
    first = accepted(desk, unique, claim=CLAIM)
    assert accepted(desk, unique, claim=CLAIM).jobs == first.jobs
    app.engine.apply(LimitQueue("default", QueueLimits(max_depth=1))).wait(5)
    assert accepted(desk, draft(app), claim=CLAIM).jobs == first.jobs
    with pytest.raises(DuplicateJob):
        accepted(desk, unique, claim=Claim("idempotency/2", "mark", 60.0))
    assert app.engine.load(["idempotency/2"]).wait(5) == {}


def test_those_who_are_turned_away_do_not_come_back_together(app: App, desk: Desk) -> None:
    app.engine.apply(LimitQueue("default", QueueLimits(max_depth=1))).wait(5)
    accepted(desk, draft(app))
    waits = set()
    for _ in range(20):
        with pytest.raises(QueueFull) as caught:
            accepted(desk, draft(app))
        waits.add(caught.value.retry_after)
    assert len(waits) > 10
    assert max(waits) <= 1.5 * min(waits)


def test_whatever_else_belongs_to_it_is_in_the_same_commit(app: App, desk: Desk) -> None:
    def further(_: Engine, messages: Sequence[Message]) -> Sequence[Write[Any]]:
        return [Put("x", messages[0].id.encode(), expect=0)]

    app.companions.append(further)
    receipt = accepted(desk, draft(app))
    entry = app.engine.load(["x"]).wait(5).get("x")
    assert entry is not None
    assert entry.value.decode() == receipt.jobs[0]
    with pytest.raises(Conflict):
        accepted(desk, draft(app), claim=CLAIM)
    assert count(app) == 1


@pytest.mark.parametrize("happened", [True, False])
def test_an_unknown_outcome_tells_the_ids_and_a_retry_resolves_it(
    app: App, desk: Desk, monkeypatch: pytest.MonkeyPatch, *, happened: bool
) -> None:
    commit = app.engine.commit

    def lose(writes: Sequence[Write[Any]], tx: Tx | None = None) -> Reply[tuple[Any, ...]]:
        if happened:
            commit(writes, tx).wait(5)
        return Reply.failed(OutcomeUnknown("the disk said nothing"))

    with monkeypatch.context() as patched:
        patched.setattr(app.engine, "commit", lose)
        with pytest.raises(OutcomeUnknown) as caught:
            accepted(desk, draft(app), claim=CLAIM)
    receipt = accepted(desk, draft(app), claim=CLAIM)
    assert receipt.replayed is happened
    assert (receipt.jobs == caught.value.job_ids) is happened
    assert count(app) == 1


def test_an_engine_that_says_nothing_leaves_it_unknown(
    app: App, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.engine, "commit", lambda *_: Reply())
    monkeypatch.setattr(app, "config", app.config.__class__(url="memory:", deadline=0.01))
    with pytest.raises(OutcomeUnknown) as caught:
        accepted(desk, draft(app))
    assert len(caught.value.job_ids) == 1
