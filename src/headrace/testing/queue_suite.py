"""The conformance suite of the Queue role: sending, order, keys and limits.

    from headrace.testing import ManualClock
    from headrace.testing.queue_suite import QueueSuite

    class TestQueue(QueueSuite):
        @pytest.fixture
        def clock(self): return ManualClock()

        @pytest.fixture
        def engine(self, clock):
            engine = MyEngine(..., clock=clock)
            engine.open().wait(5)
            yield engine
            engine.close().wait(5)

Every test begins with an open, empty engine that takes its time from `clock`, and speaks only the
contract of `headrace.engine` and `headrace.write`. The other suites are used in the same way.
"""

from __future__ import annotations

import pytest

from headrace.engine import Engine
from headrace.errors import DuplicateJob, HeadraceError, QueueFull
from headrace.message import Retention
from headrace.record import QueueLimits, State
from headrace.retry import RetryPolicy
from headrace.testing.clock import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    apply,
    bury,
    claim,
    claim_one,
    commit,
    depth,
    job_id,
    labels,
    maintain,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import (
    CancelJobs,
    LimitQueue,
    PauseQueue,
    Put,
    RetryJobs,
    Send,
    Settle,
    Settlement,
)


class QueueSuite:
    """Sending, the order of claims, moments, pause and limits."""

    def test_a_message_arrives_as_it_was_sent(self, engine: Engine) -> None:
        full = message(
            "a",
            task="report",
            priority=3,
            unique_key="naïve key ✓",
            order_key="customer 7",
            order_on_wait="skip",
            timeout=5.0,
            lease=60.0,
            retry=RetryPolicy(attempts=2, delay=0.5),
            retention=Retention(succeeded=1.0, dead=2.0),
            tags=("blue", "green"),
            headers={"from": "✉"},
            trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        apply(engine, Send((full,)))
        lease = claim_one(engine)
        assert lease.message == full
        assert record(engine, "a").message == full

    def test_nothing_is_claimed_from_an_empty_or_unknown_queue(self, engine: Engine) -> None:
        assert claim(engine, 5, queues=("default", "nobody-knows-it")) == ()
        assert claim(engine, 5, queues=()) == ()

    def test_an_empty_send_and_an_empty_commit_are_fine(self, engine: Engine) -> None:
        assert send(engine).replaced == ()
        assert commit(engine) == ()

    def test_jobs_come_in_the_order_of_acceptance(self, engine: Engine) -> None:
        send(engine, "c", "a")
        send(engine, "b")
        assert labels(claim(engine, 2)) == ["c", "a"]
        assert labels(claim(engine, 2)) == ["b"]

    def test_a_claim_takes_no_more_than_its_limit(self, engine: Engine) -> None:
        send(engine, "a", "b", "c")
        assert len(claim(engine, 2)) == 2
        assert depth(engine).running == 2

    def test_a_running_job_is_not_claimed_again(self, engine: Engine) -> None:
        send(engine, "a")
        claim_one(engine)
        assert claim(engine, 5) == ()

    def test_higher_priority_goes_first_then_age(self, engine: Engine) -> None:
        send(engine, "low", priority=-1)
        send(engine, "mid1")
        send(engine, "high", priority=10)
        send(engine, "mid2")
        assert labels(claim(engine, 4)) == ["high", "mid1", "mid2", "low"]

    def test_an_id_is_accepted_once(self, engine: Engine) -> None:
        send(engine, "a")
        with pytest.raises(DuplicateJob) as refused:
            send(engine, "b", "a")
        assert refused.value.job_id == job_id("a")
        assert state(engine, "b") is None

    def test_an_id_stays_taken_when_its_job_is_finished(self, engine: Engine) -> None:
        send(engine, "a")
        settle(engine, claim_one(engine))
        with pytest.raises(DuplicateJob):
            send(engine, "a")

    def test_an_id_twice_in_a_batch_refuses_the_batch(self, engine: Engine) -> None:
        with pytest.raises(DuplicateJob):
            send(engine, "a", "b", "a")
        assert state(engine, "a") is None
        assert depth(engine).depth == 0

    def test_an_unknown_envelope_version_is_refused(self, engine: Engine) -> None:
        with pytest.raises(HeadraceError):
            apply(engine, Send((message("a"), message("b", v=999))))
        assert state(engine, "a") is None

    def test_attempts_made_elsewhere_count(self, engine: Engine) -> None:
        send(engine, "a", attempt=2)
        assert claim_one(engine).attempt == 3

    def test_a_commit_is_all_or_nothing(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        with pytest.raises(DuplicateJob):
            commit(
                engine,
                Send((message("b"),)),
                Put("key", b"value"),
                PauseQueue("default"),
                CancelJobs((job_id("a"),)),
                Send((message("c", unique_key="k"), message("d", unique_key="k"))),
            )
        assert state(engine, "b") is None
        assert engine.load(["key"]).wait(PATIENCE).get("key") is None
        assert state(engine, "a") is State.READY
        assert labels(claim(engine, 5)) == ["a"]

    def test_writes_are_applied_in_their_order(self, engine: Engine) -> None:
        apply(engine, LimitQueue("default", QueueLimits(max_depth=1)))
        send(engine, "a")
        done = Settlement(lease=claim_one(engine), to=State.SUCCEEDED)
        settled, sent = commit(engine, Settle((done,)), Send((message("b"),)))
        assert settled.lost == frozenset()
        assert sent.replaced == ()
        assert state(engine, "b") is State.READY

    def test_queues_share_a_claim_fairly(self, engine: Engine) -> None:
        send(engine, *[f"a{n}" for n in range(10)], queue="a", priority=5)
        send(engine, *[f"b{n}" for n in range(10)], queue="b")
        assert sorted(labels(claim(engine, 4, queues=("a", "b")))) == ["a0", "a1", "b0", "b1"]

    def test_what_one_queue_leaves_another_gets(self, engine: Engine) -> None:
        send(engine, "a", queue="a")
        send(engine, *[f"b{n}" for n in range(10)], queue="b")
        assert len(claim(engine, 6, queues=("a", "b", "c"))) == 6

    def test_small_claims_starve_no_queue(self, engine: Engine) -> None:
        send(engine, *[f"a{n}" for n in range(20)], queue="a")
        send(engine, *[f"b{n}" for n in range(20)], queue="b")
        taken = [claim(engine, 1, queues=("a", "b"))[0].message.queue for _ in range(20)]
        assert min(taken.count("a"), taken.count("b")) >= 5

    def test_a_queue_named_twice_is_one_queue(self, engine: Engine) -> None:
        send(engine, "a", "b")
        assert labels(claim(engine, 5, queues=("default", "default"))) == ["a", "b"]

    def test_a_delayed_job_waits(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", delay=10.0)
        assert record(engine, "a").run_at == clock.now() + 10
        assert state(engine, "a") is State.SCHEDULED
        clock.advance(9.5)
        assert claim(engine) == ()
        clock.advance(0.5)
        assert labels(claim(engine)) == ["a"]

    def test_a_due_job_is_ready(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", run_at=clock.now() + 10)
        clock.advance(11)
        assert state(engine, "a") is State.READY
        assert record(engine, "a").state is State.READY

    def test_a_moment_in_the_past_is_now(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", run_at=clock.now() - 10)
        assert state(engine, "a") is State.READY
        assert labels(claim(engine)) == ["a"]

    def test_a_due_job_takes_its_place_by_priority_and_age(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "old", delay=10.0)
        send(engine, "urgent", delay=20.0, priority=1)
        send(engine, "new")
        clock.advance(20)
        assert labels(claim(engine, 3)) == ["urgent", "old", "new"]

    def test_the_most_urgent_of_very_many_due_jobs_goes_first(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, *[f"{n}" for n in range(1500)], delay=1.0)
        send(engine, "urgent", delay=2.0, priority=1)
        clock.advance(3)
        assert labels(claim(engine, 2)) == ["urgent", "0"]

    def test_a_job_that_is_not_started_in_time_is_dead(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", expires_after=10.0)
        send(engine, "b", expires=clock.now() + 10)
        send(engine, "c", expires_after=12.0)
        clock.advance(11)
        assert maintain(engine).expired == 2
        ended = record(engine, "a")
        assert ended.state is State.DEAD
        assert ended.failure is not None
        assert ended.failure.cause == "expired"
        assert state(engine, "b") is State.DEAD
        assert state(engine, "c") is State.READY

    def test_no_expired_job_is_started(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, *[f"{n}" for n in range(1500)], expires_after=1.0)
        send(engine, "last")
        clock.advance(2)
        assert labels(claim(engine, 5)) in ([], ["last"])

    def test_a_delay_beyond_the_expiry_ends_dead(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", delay=20.0, expires_after=10.0)
        clock.advance(11)
        maintain(engine)
        assert state(engine, "a") is State.DEAD

    def test_a_job_started_in_time_may_run_on(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", expires_after=10.0)
        lease = claim_one(engine, seconds=60)
        clock.advance(11)
        maintain(engine)
        assert state(engine, "a") is State.RUNNING
        assert settle(engine, lease).lost == frozenset()
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_redriven_job_no_longer_expires(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", expires_after=10.0)
        clock.advance(11)
        maintain(engine)
        apply(engine, RetryJobs((job_id("a"),)))
        maintain(engine)
        assert labels(claim(engine)) == ["a"]

    def test_a_paused_queue_gives_nothing(self, engine: Engine) -> None:
        send(engine, "a")
        apply(engine, PauseQueue("default"))
        assert claim(engine) == ()
        assert depth(engine).paused
        assert record(engine, "a").state is State.READY
        assert record(engine, "a").reason == "queue-paused"
        apply(engine, PauseQueue("default", paused=False))
        assert record(engine, "a").reason == ""
        assert labels(claim(engine)) == ["a"]

    def test_a_queue_can_be_paused_before_its_first_job(self, engine: Engine) -> None:
        apply(engine, PauseQueue("later"))
        send(engine, "a", queue="later")
        send(engine, "b", queue="other")
        assert labels(claim(engine, 5, queues=("later", "other"))) == ["b"]

    def test_a_run_in_a_paused_queue_is_settled(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        apply(engine, PauseQueue("default"))
        assert settle(engine, lease).lost == frozenset()
        assert state(engine, "a") is State.SUCCEEDED

    def test_depth_tells_how_a_queue_is_doing(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", "b", "c")
        send(engine, "later", delay=30.0)
        lease = claim_one(engine)
        status = depth(engine)
        assert (status.ready, status.running, status.scheduled) == (2, 1, 1)
        assert status.depth == 4
        assert status.due_in == 30.0
        full = status.bytes
        assert full >= 4 * len(message("a").body)
        clock.advance(2)
        settle(engine, lease)
        assert depth(engine).depth == 3
        assert depth(engine).bytes < full
        assert depth(engine).drain_rate > 0

    def test_depth_names_every_queue_it_was_asked_for(self, engine: Engine) -> None:
        send(engine, "a", queue="known")
        statuses = engine.depth(["unknown", "known"]).wait(PATIENCE)
        assert [(status.name, status.depth) for status in statuses] == [
            ("unknown", 0),
            ("known", 1),
        ]
        assert "known" in [status.name for status in engine.depth().wait(PATIENCE)]

    def test_an_emptied_queue_weighs_nothing(self, engine: Engine) -> None:
        send(engine, "a", "b", "c", "d")
        settle(engine, claim_one(engine))
        bury(engine, claim_one(engine))
        apply(engine, CancelJobs((job_id("c"), job_id("d"))))
        status = depth(engine)
        assert (status.depth, status.bytes) == (0, 0)


class LimitsSuite:
    """Full queues."""

    def test_a_queue_takes_jobs_up_to_its_depth(self, engine: Engine) -> None:
        apply(engine, LimitQueue("default", QueueLimits(max_depth=3)))
        send(engine, "a", "b", "c")
        with pytest.raises(QueueFull) as full:
            send(engine, "d")
        assert full.value.queue == "default"
        assert 0.1 <= full.value.retry_after <= 60.0
        assert depth(engine).limits == QueueLimits(max_depth=3)
        assert depth(engine).depth == 3

    def test_a_batch_that_does_not_fit_is_refused_whole(self, engine: Engine) -> None:
        apply(engine, LimitQueue("default", QueueLimits(max_depth=3)))
        send(engine, "a", "b")
        with pytest.raises(QueueFull):
            send(engine, "c", "d")
        assert state(engine, "c") is None
        assert depth(engine).depth == 2

    def test_a_full_queue_refuses_what_came_with_it(self, engine: Engine) -> None:
        apply(engine, LimitQueue("small", QueueLimits(max_depth=0)))
        with pytest.raises(QueueFull):
            apply(engine, Send((message("a"), message("b", queue="small"))))
        assert state(engine, "a") is None
        send(engine, "a")

    def test_every_unfinished_job_counts(self, engine: Engine) -> None:
        apply(engine, LimitQueue("default", QueueLimits(max_depth=2)))
        send(engine, "run")
        lease = claim_one(engine)
        send(engine, "wait", delay=60.0)
        with pytest.raises(QueueFull):
            send(engine, "a")
        settle(engine, lease)
        send(engine, "a")
        with pytest.raises(QueueFull):
            send(engine, "b")
        apply(engine, CancelJobs((job_id("wait"),)))
        send(engine, "b")

    def test_bytes_count_too(self, engine: Engine) -> None:
        send(engine, "a")
        size = depth(engine).bytes
        apply(engine, LimitQueue("default", QueueLimits(max_bytes=3 * size)))
        send(engine, "b", "c")
        with pytest.raises(QueueFull) as full:
            send(engine, "d")
        assert 0.1 <= full.value.retry_after <= 60.0
        settle(engine, claim_one(engine))
        send(engine, "d")

    def test_a_limit_can_be_lifted(self, engine: Engine) -> None:
        apply(engine, LimitQueue("default", QueueLimits(max_depth=1)))
        send(engine, "a")
        apply(engine, LimitQueue("default", QueueLimits()))
        send(engine, "b")
        assert depth(engine).depth == 2

    def test_a_lower_limit_takes_nothing_away(self, engine: Engine) -> None:
        send(engine, "a", "b", "c")
        apply(engine, LimitQueue("default", QueueLimits(max_depth=1)))
        assert len(claim(engine, 5)) == 3
        with pytest.raises(QueueFull):
            send(engine, "d")

    def test_a_faster_drain_promises_room_sooner(self, engine: Engine, clock: ManualClock) -> None:
        limits = QueueLimits(max_depth=100)
        for queue, seconds in (("slow", 2.0), ("fast", 0.02)):
            apply(engine, LimitQueue(queue, limits))
            send(engine, *[f"{queue[0]}{n}" for n in range(100)], queue=queue)
            for lease in claim(engine, 60, queues=(queue,), seconds=1000.0):
                clock.advance(seconds)
                settle(engine, lease)
        waits = {}
        for queue in ("slow", "fast"):
            with pytest.raises(QueueFull) as full:
                send(engine, *[f"x{n}" for n in range(90)], queue=queue)
            waits[queue] = full.value.retry_after
        assert waits["fast"] < waits["slow"]
