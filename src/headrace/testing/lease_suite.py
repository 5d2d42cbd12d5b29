"""The conformance suite of leases: tokens, heartbeats, loss; how to use it: `queue_suite`."""

from __future__ import annotations

import threading

import pytest
from msgspec.structs import replace

from headrace.engine import Engine
from headrace.errors import EngineClosed, LeaseLost
from headrace.record import Failure, State
from headrace.testing.clock import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    apply,
    bury,
    claim,
    claim_one,
    commit,
    fail,
    job_id,
    labels,
    maintain,
    message,
    record,
    release,
    send,
    settle,
    state,
)
from headrace.write import (
    Extend,
    Lease,
    PauseQueue,
    Put,
    RetryJobs,
    Send,
    Settle,
    Settlement,
)


class LeaseSuite:
    """The lease protocol: who may settle, and what becomes of lost leases."""

    def test_a_claim_is_named_after_its_holder(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine, holder="host.example-17-ab")
        assert lease.claim.startswith("host.example-17-ab.")
        assert record(engine, "a").holder == "host.example-17-ab"
        assert record(engine, "a").state is State.RUNNING

    def test_a_first_claim_is_the_first_attempt(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        assert (lease.attempt, lease.lost, lease.job_id) == (1, 0, job_id("a"))

    def test_the_token_only_grows(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        leases = [claim_one(engine)]
        release(engine, leases[-1])
        leases.append(claim_one(engine))
        fail(engine, leases[-1])
        leases.append(claim_one(engine, seconds=10))
        clock.advance(11)
        maintain(engine)
        leases.append(claim_one(engine))
        bury(engine, leases[-1])
        apply(engine, RetryJobs((job_id("a"),)))
        leases.append(claim_one(engine))
        tokens = [lease.token for lease in leases]
        assert tokens == sorted(set(tokens))
        assert len({lease.claim for lease in leases}) == len(leases)

    def test_only_the_holder_of_the_newest_lease_settles(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        stale = claim_one(engine, seconds=10)
        clock.advance(11)
        maintain(engine)
        current = claim_one(engine, holder="worker-2")
        assert settle(engine, stale).lost == {job_id("a")}
        assert state(engine, "a") is State.RUNNING
        assert settle(engine, current).lost == frozenset()
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_lease_is_over_when_its_job_is_ready_again(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        stale = claim_one(engine, seconds=10)
        clock.advance(11)
        maintain(engine)
        assert settle(engine, stale).lost == {job_id("a")}
        assert state(engine, "a") is State.READY

    @pytest.mark.parametrize("change", ["token", "claim"])
    def test_token_and_claim_are_both_compared(self, engine: Engine, change: str) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        forged = (
            replace(lease, token=lease.token + 1)
            if change == "token"
            else replace(lease, claim=f"{lease.claim}x")
        )
        assert settle(engine, forged).lost == {job_id("a")}
        assert apply(engine, Extend((forged,), 30.0)).lost == {job_id("a")}
        assert state(engine, "a") is State.RUNNING
        assert settle(engine, lease).lost == frozenset()

    def test_a_job_is_settled_once(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        settle(engine, lease)
        assert bury(engine, lease).lost == {job_id("a")}
        assert state(engine, "a") is State.SUCCEEDED

    def test_the_first_of_two_settlements_counts(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        twice = tuple(Settlement(lease=lease, to=to) for to in (State.SUCCEEDED, State.DEAD))
        assert apply(engine, Settle(twice)).lost == {job_id("a")}
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_stale_settlement_takes_nothing_from_the_newest_run(self, engine: Engine) -> None:
        send(engine, "a")
        stale = claim_one(engine)
        release(engine, stale)
        settlements = (
            Settlement(lease=stale, to=State.DEAD),
            Settlement(lease=claim_one(engine), to=State.SUCCEEDED),
        )
        assert apply(engine, Settle(settlements)).lost == {job_id("a")}
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_stale_settlement_leaves_the_others(self, engine: Engine) -> None:
        send(engine, "a", "b")
        one, two = claim(engine, 2)
        settle(engine, one)
        settlements = tuple(Settlement(lease=lease, to=State.DEAD) for lease in (one, two))
        assert apply(engine, Settle(settlements)).lost == {job_id("a")}
        assert state(engine, "a") is State.SUCCEEDED
        assert state(engine, "b") is State.DEAD

    def test_a_strict_settle_takes_the_whole_commit_with_it(self, engine: Engine) -> None:
        send(engine, "a", "b")
        one, two = claim(engine, 2)
        settle(engine, one)
        settlements = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in (two, one))
        with pytest.raises(LeaseLost):
            commit(
                engine,
                Put("effect", b"1"),
                Settle(settlements, strict=True),
                Send((message("c"),)),
            )
        assert state(engine, "b") is State.RUNNING
        assert state(engine, "c") is None
        assert engine.load(["effect"]).wait(PATIENCE).get("effect") is None

    def test_a_heartbeat_keeps_a_lease(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        lease = claim_one(engine, seconds=10)
        for _ in range(3):
            clock.advance(8)
            assert apply(engine, Extend((lease,), 10.0)).lost == frozenset()
            assert maintain(engine).reclaimed == 0
        assert settle(engine, lease).lost == frozenset()

    def test_a_lease_without_heartbeats_expires(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        lease = claim_one(engine, seconds=10)
        clock.advance(9)
        assert maintain(engine).reclaimed == 0
        clock.advance(2)
        assert maintain(engine).reclaimed == 1
        assert apply(engine, Extend((lease,), 10.0)).lost == {job_id("a")}
        assert state(engine, "a") is State.READY
        kept = record(engine, "a")
        assert (kept.lost, kept.attempt) == (1, 0)
        assert [(entry.failure.cause, entry.counted) for entry in kept.history] == [
            ("lease-lost", False)
        ]
        assert kept.history[0].failure.holder == "worker-1"
        again = claim_one(engine)
        assert (again.attempt, again.lost) == (1, 1)

    def test_a_heartbeat_of_a_job_nobody_knows_is_lost(self, engine: Engine) -> None:
        lease = Lease(message=message("a"), token=1, claim="worker-1.0", place=1)
        assert apply(engine, Extend((lease,), 10.0)).lost == {job_id("a")}
        assert settle(engine, lease).lost == {job_id("a")}

    def test_a_message_may_say_how_long_its_lease_is(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "long", lease=100.0)
        send(engine, "short")
        leases = claim(engine, 2, seconds=10)
        clock.advance(11)
        maintain(engine)
        assert state(engine, "long") is State.RUNNING
        assert state(engine, "short") is State.READY
        apply(engine, Extend(leases[:1], 10.0))
        clock.advance(90)
        maintain(engine)
        assert state(engine, "long") is State.RUNNING

    def test_a_step_of_the_wall_clock_costs_nobody_a_lease(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        lease = claim_one(engine, seconds=10)
        for seconds in (86_400.0, -172_800.0):
            clock.step(seconds)
            assert maintain(engine).reclaimed == 0
        clock.advance(11)
        assert maintain(engine).reclaimed == 1
        assert settle(engine, lease).lost == {job_id("a")}

    def test_a_release_is_not_counted(self, engine: Engine) -> None:
        send(engine, "a")
        for _ in range(5):
            lease = claim_one(engine)
            assert (lease.attempt, lease.lost) == (1, 0)
            release(engine, lease)
        kept = record(engine, "a")
        assert (kept.state, kept.attempt, kept.lost) == (State.READY, 0, 0)
        assert kept.history == ()

    def test_a_released_job_keeps_its_place(self, engine: Engine) -> None:
        send(engine, "a", "b")
        release(engine, claim_one(engine))
        assert labels(claim(engine, 2)) == ["a", "b"]

    def test_a_failed_attempt_counts_and_a_snooze_does_not(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine), delay=5)
        clock.advance(5)
        snooze = Failure(cause="snooze", message="not yet")
        lease = claim_one(engine)
        settle(engine, lease, State.SCHEDULED, counted=False, delay=5, failure=snooze)
        clock.advance(5)
        assert (lease.attempt, claim_one(engine).attempt) == (2, 2)
        history = record(engine, "a").history
        assert [(e.number, e.failure.cause, e.counted) for e in history] == [
            (1, "error", True),
            (2, "snooze", False),
        ]

    def test_a_retry_without_delay_is_ready(self, engine: Engine) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine))
        assert state(engine, "a") is State.READY
        assert claim_one(engine).attempt == 2


class WaitingLeaseSuite:
    """Leases that wait for a first job."""

    def test_a_waiting_lease_gets_the_next_job(self, engine: Engine) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        assert not reply.done
        send(engine, "a", "b")
        assert labels(reply.wait(PATIENCE)) == ["a", "b"]

    def test_a_waiting_lease_is_served_from_another_thread(self, engine: Engine) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        sender = threading.Thread(target=send, args=(engine, "a"))
        sender.start()
        assert labels(reply.wait(PATIENCE)) == ["a"]
        sender.join()

    def test_a_lease_does_not_wait_when_there_is_work(self, engine: Engine) -> None:
        send(engine, "a")
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        assert labels(reply.wait(PATIENCE)) == ["a"]

    def test_a_waiting_lease_ends_empty(self, engine: Engine, clock: ManualClock) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=0.5)
        clock.advance(1)
        assert reply.wait(PATIENCE) == ()

    def test_a_job_that_becomes_due_ends_the_wait(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", delay=10.0)
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=3600)
        clock.advance(10)
        assert labels(reply.wait(PATIENCE)) == ["a"]

    def test_a_resumed_queue_ends_the_wait(self, engine: Engine) -> None:
        send(engine, "a")
        apply(engine, PauseQueue("default"))
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        apply(engine, PauseQueue("default", paused=False))
        assert labels(reply.wait(PATIENCE)) == ["a"]

    def test_one_job_goes_to_one_of_many_waiting(self, engine: Engine) -> None:
        replies = [
            engine.lease(["default"], limit=1, seconds=30, holder=f"w{n}", wait=60)
            for n in range(4)
        ]
        names = ["a", "b", "c", "d"]
        for name in names:
            send(engine, name)
        got = [labels(reply.wait(PATIENCE)) for reply in replies]
        assert sorted(got) == [[name] for name in names]

    def test_closing_ends_the_wait(self, engine: Engine) -> None:
        reply = engine.lease(["default"], limit=5, seconds=30, holder="w", wait=60)
        engine.close().wait(PATIENCE)
        try:
            assert reply.wait(PATIENCE) == ()
        except EngineClosed:
            assert reply.done
