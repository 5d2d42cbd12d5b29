"""The conformance suites of unique keys and order keys; how to use them: `queue_suite`."""

from __future__ import annotations

import pytest

from headrace.engine import Engine
from headrace.errors import DuplicateJob
from headrace.record import QueueLimits, State
from headrace.testing.clock import ManualClock
from headrace.testing.steps import (
    apply,
    bury,
    claim,
    claim_one,
    depth,
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
from headrace.write import CancelJobs, EditJobs, LimitQueue, RetryJobs, Send


class UniqueKeySuite:
    """Unique keys: one live job each, over the whole engine."""

    def test_a_held_key_refuses_the_send(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        with pytest.raises(DuplicateJob) as refused:
            apply(engine, Send((message("b"), message("c", unique_key="k", queue="other"))))
        assert refused.value.job_id == job_id("a")
        assert state(engine, "b") is None

    @pytest.mark.parametrize("to", [State.SUCCEEDED, State.CANCELLED, State.DEAD])
    def test_a_finished_job_frees_its_key(self, engine: Engine, to: State) -> None:
        send(engine, "a", unique_key="k")
        settle(engine, claim_one(engine), to)
        send(engine, "b", unique_key="k")
        with pytest.raises(DuplicateJob):
            send(engine, "c", unique_key="k")

    def test_a_cancelled_and_an_expired_job_free_their_keys(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", unique_key="k")
        send(engine, "b", unique_key="l", expires_after=1.0)
        apply(engine, CancelJobs((job_id("a"),)))
        clock.advance(2)
        maintain(engine)
        send(engine, "c", unique_key="k")
        send(engine, "d", unique_key="l")

    def test_a_running_or_retried_job_holds_its_key(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        lease = claim_one(engine)
        for name in ("b", "c"):
            with pytest.raises(DuplicateJob) as refused:
                send(engine, name, unique_key="k")
            assert refused.value.job_id == job_id("a")
            fail(engine, lease, delay=60.0)

    def test_replace_replaces_a_waiting_job(self, engine: Engine) -> None:
        send(engine, "old", unique_key="k")
        send(engine, "mid")
        sent = send(engine, "new", unique_key="k", on_conflict="replace")
        assert sent.replaced == (job_id("old"),)
        old = record(engine, "old")
        assert old.state is State.CANCELLED
        assert old.failure is not None
        assert old.failure.cause == "replaced"
        assert labels(claim(engine, 5)) == ["mid", "new"]
        with pytest.raises(DuplicateJob) as refused:
            send(engine, "x", unique_key="k")
        assert refused.value.job_id == job_id("new")

    def test_replace_replaces_a_scheduled_job(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "old", unique_key="k", delay=10.0)
        send(engine, "new", unique_key="k", delay=20.0, on_conflict="replace")
        clock.advance(15)
        assert claim(engine) == ()
        clock.advance(5)
        assert labels(claim(engine, 5)) == ["new"]

    def test_replace_does_not_touch_a_running_job(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        lease = claim_one(engine)
        with pytest.raises(DuplicateJob) as refused:
            send(engine, "b", unique_key="k", on_conflict="replace")
        assert refused.value.job_id == job_id("a")
        assert settle(engine, lease).lost == frozenset()

    def test_replace_without_a_rival_is_a_send(self, engine: Engine) -> None:
        assert send(engine, "a", unique_key="k", on_conflict="replace").replaced == ()
        assert labels(claim(engine)) == ["a"]

    def test_one_key_twice_in_a_batch_is_refused(self, engine: Engine) -> None:
        with pytest.raises(DuplicateJob) as refused:
            send(engine, "a", "b", unique_key="k")
        assert refused.value.job_id == job_id("a")
        assert state(engine, "a") is None
        send(engine, "a", unique_key="k")

    def test_later_replaces_earlier_in_a_batch(self, engine: Engine) -> None:
        sent = send(engine, "a", "b", "c", unique_key="k", on_conflict="replace")
        assert sent.replaced == (job_id("a"), job_id("b"))
        assert state(engine, "a") is State.CANCELLED
        assert labels(claim(engine, 5)) == ["c"]

    def test_a_redriven_job_takes_its_key_again(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        bury(engine, claim_one(engine))
        apply(engine, RetryJobs((job_id("a"),)))
        with pytest.raises(DuplicateJob) as refused:
            send(engine, "b", unique_key="k")
        assert refused.value.job_id == job_id("a")

    def test_redriving_is_refused_while_the_key_lives_again(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        bury(engine, claim_one(engine))
        send(engine, "b", unique_key="k")
        send(engine, "c", delay=60.0)
        with pytest.raises(DuplicateJob) as refused:
            apply(engine, RetryJobs((job_id("c"), job_id("a"))))
        assert refused.value.job_id == job_id("b")
        assert state(engine, "a") is State.DEAD
        assert state(engine, "c") is State.SCHEDULED

    def test_two_dead_jobs_of_one_key_are_not_redriven_together(self, engine: Engine) -> None:
        for name in ("a", "b"):
            send(engine, name, unique_key="k")
            bury(engine, claim_one(engine))
        with pytest.raises(DuplicateJob):
            apply(engine, RetryJobs((job_id("a"), job_id("b"))))
        assert state(engine, "a") is State.DEAD
        assert state(engine, "b") is State.DEAD

    def test_a_batch_whose_first_job_was_there_before_replaces_nothing(
        self, engine: Engine
    ) -> None:
        send(engine, "a")
        settle(engine, claim_one(engine))
        batch = (
            message("a", unique_key="k"),
            message("b", unique_key="k", on_conflict="replace"),
        )
        with pytest.raises(DuplicateJob):
            apply(engine, Send(batch))
        assert state(engine, "a") is State.SUCCEEDED
        assert state(engine, "b") is None

    def test_a_replaced_job_makes_room(self, engine: Engine) -> None:
        apply(engine, LimitQueue("default", QueueLimits(max_depth=2)))
        send(engine, "a", unique_key="k")
        send(engine, "b", unique_key="k", on_conflict="replace")
        assert depth(engine).depth == 1
        send(engine, "c")


class OrderKeySuite:
    """Order keys: one group, one job at a time, in order."""

    def test_only_the_head_of_a_group_is_given(self, engine: Engine) -> None:
        send(engine, "a", "b", "c", order_key="g")
        send(engine, "x")
        leases = claim(engine, 5)
        assert labels(leases) == ["a", "x"]
        assert record(engine, "b").state is State.READY
        assert record(engine, "b").reason == "order-key"
        assert claim(engine, 5) == ()
        settle(engine, leases[0])
        assert record(engine, "b").reason == ""
        assert labels(claim(engine, 5)) == ["b"]

    def test_a_job_behind_a_waiting_head_has_its_reason(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="g")
        assert record(engine, "a").reason == ""
        assert record(engine, "b").reason == "order-key"

    def test_groups_do_not_hinder_each_other(self, engine: Engine) -> None:
        send(engine, "a1", "a2", order_key="a")
        send(engine, "b1", "b2", order_key="b")
        assert labels(claim(engine, 5)) == ["a1", "b1"]

    def test_a_group_belongs_to_its_queue(self, engine: Engine) -> None:
        send(engine, "a", order_key="g", queue="a")
        send(engine, "b", order_key="g", queue="b")
        assert sorted(labels(claim(engine, 5, queues=("a", "b")))) == ["a", "b"]

    def test_priorities_are_compared_between_heads(self, engine: Engine) -> None:
        send(engine, "a1", order_key="a")
        send(engine, "a2", order_key="a", priority=100)
        send(engine, "b1", order_key="b", priority=5)
        send(engine, "x", priority=1)
        assert labels(claim(engine, 5)) == ["b1", "x", "a1"]

    @pytest.mark.parametrize("to", [State.SUCCEEDED, State.CANCELLED, State.DEAD])
    def test_a_head_that_ends_frees_its_group(self, engine: Engine, to: State) -> None:
        send(engine, "a", "b", order_key="g")
        settle(engine, claim_one(engine), to)
        assert labels(claim(engine, 5)) == ["b"]

    def test_a_cancelled_or_expired_head_frees_its_group(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", order_key="g")
        send(engine, "b", order_key="g", expires_after=5.0)
        send(engine, "c", order_key="g")
        apply(engine, CancelJobs((job_id("a"),)))
        clock.advance(6)
        assert labels(claim(engine, 5)) == ["c"]

    def test_a_delayed_head_holds_its_group(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", order_key="g", delay=10.0)
        send(engine, "b", order_key="g")
        assert claim(engine, 5) == ()
        clock.advance(10)
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_retried_head_holds_its_group(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", "b", order_key="g")
        fail(engine, claim_one(engine), delay=10.0)
        assert claim(engine, 5) == ()
        assert record(engine, "b").reason == "order-key"
        clock.advance(10)
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_snoozed_head_holds_its_group(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", "b", order_key="g")
        settle(engine, claim_one(engine), State.SCHEDULED, counted=False, delay=10.0)
        assert claim(engine, 5) == ()
        clock.advance(10)
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_waiting_head_that_may_be_skipped_is(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", order_key="g", delay=10.0, order_on_wait="skip")
        send(engine, "b", "c", order_key="g")
        lease = claim_one(engine)
        assert labels([lease]) == ["b"]
        clock.advance(10)
        assert claim(engine, 5) == ()  # it is due, but its group is at work
        settle(engine, lease)
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_failed_job_that_may_be_skipped_is(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="g", order_on_wait="skip")
        fail(engine, claim_one(engine), delay=10.0)
        assert labels(claim(engine, 5)) == ["b"]

    def test_many_waiting_jobs_are_skipped(self, engine: Engine) -> None:
        waiting = [f"{n}" for n in range(150)]
        send(engine, *waiting, order_key="g", delay=10.0, order_on_wait="skip")
        send(engine, "a", order_key="g")
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_released_head_goes_first_again(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="g")
        release(engine, claim_one(engine))
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_head_whose_lease_is_lost_goes_first_again(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", "b", order_key="g")
        claim_one(engine, seconds=10)
        clock.advance(11)
        maintain(engine)
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_skipped_job_that_is_ready_in_time_keeps_its_turn(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", order_key="g", delay=10.0, order_on_wait="skip")
        send(engine, "b", order_key="g")
        clock.advance(10)
        assert labels(claim(engine, 5)) == ["a"]

    def test_editing_a_head_holds_or_frees_its_group(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", "b", order_key="g")
        apply(engine, EditJobs((job_id("a"),), run_at=clock.now() + 60))
        assert claim(engine, 5) == ()
        apply(engine, RetryJobs((job_id("a"),)))
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_redriven_job_waits_for_the_one_at_work(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="g")
        bury(engine, claim_one(engine))
        lease = claim_one(engine)
        apply(engine, RetryJobs((job_id("a"),)))
        assert claim(engine, 5) == ()
        settle(engine, lease)
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_batch_of_one_group_runs_in_list_order(self, engine: Engine) -> None:
        names = ["z", "m", "a", "q", "b"]
        send(engine, *names, order_key="g")
        ran = []
        for _ in names:
            lease = claim_one(engine)
            ran += labels([lease])
            settle(engine, lease)
        assert ran == names

    def test_a_refused_batch_leaves_the_group_as_it_was(self, engine: Engine) -> None:
        send(engine, "a", order_key="g", unique_key="k")
        with pytest.raises(DuplicateJob):
            apply(
                engine,
                Send((message("b", order_key="g"), message("c", unique_key="k"))),
            )
        settle(engine, claim_one(engine))
        assert claim(engine, 5) == ()
