"""The conformance suite of moving: what leaves an engine is gone, and comes back as it was.

An engine is here its own target: what departed is restored where it was.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from headrace.cargo import MOVE_PREFIX, Cargo, unpack
from headrace.engine import Engine
from headrace.errors import Conflict, DuplicateJob, HeadraceError
from headrace.record import Failure, QueueLimits, Record, State
from headrace.testing.clock import ManualClock
from headrace.testing.steps import (
    PATIENCE,
    WORKER,
    apply,
    bury,
    claim,
    claim_one,
    commit,
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
from headrace.write import (
    CancelJobs,
    Delete,
    Depart,
    Departed,
    EditJobs,
    LimitQueue,
    PauseQueue,
    Put,
    Reclaim,
    Restore,
    RetryJobs,
    Send,
)

KEY = f"{MOVE_PREFIX}out/1"
PLENTY = 1 << 30


def depart(
    engine: Engine, limit: int = 100, nbytes: int = PLENTY, *, queue: str = "default"
) -> Departed:
    """Pause a queue and let jobs depart."""
    apply(engine, PauseQueue(queue))
    return apply(engine, Depart(KEY, limit, nbytes))


def unload(engine: Engine) -> Cargo:
    """Take the cargo out of the store."""
    entry = engine.load([KEY]).wait(PATIENCE).get(KEY)
    assert entry is not None, "the cargo should be in the store"
    apply(engine, Delete(KEY))
    return unpack(entry.value)


def restore(engine: Engine, cargo: Cargo) -> None:
    """Take cargo in, and let its queue go on."""
    commit(engine, Restore(cargo), PauseQueue("default", paused=False))


def there_and_back(engine: Engine, limit: int = 100) -> Cargo:
    """Let jobs depart and come back."""
    depart(engine, limit)
    cargo = unload(engine)
    restore(engine, cargo)
    return cargo


def told(job: Record) -> dict[str, Any]:
    """Return what of a record must not change on the way."""
    known: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(job))
    known.pop("reason", None)
    return known


class DepartSuite:
    """What departs, and in which order."""

    def test_what_departed_is_gone(self, engine: Engine) -> None:
        send(engine, "a", "b", tags=("blue",))
        assert depart(engine) == Departed(jobs=2)
        assert state(engine, "a") is None
        assert depth(engine).depth == 0
        assert depth(engine).bytes == 0
        apply(engine, PauseQueue("default", paused=False))
        assert claim(engine, 5) == ()
        assert labels(unload(engine).jobs) == ["a", "b"]

    def test_only_paused_queues_are_looked_at(self, engine: Engine) -> None:
        send(engine, "a", "c")
        send(engine, "b", queue="other")
        settle(engine, claim_one(engine))
        assert depart(engine, queue="other") == Departed(jobs=1)
        assert labels(unload(engine).jobs) == ["b"]
        assert state(engine, "a") is State.SUCCEEDED
        assert labels(claim(engine)) == ["c"]

    def test_a_running_job_stays(self, engine: Engine) -> None:
        send(engine, "a", "b")
        lease = claim_one(engine)
        assert depart(engine) == Departed(jobs=1)
        assert labels(unload(engine).jobs) == ["b"]
        assert settle(engine, lease).lost == frozenset()

    def test_nobody_overtakes_a_running_job_of_its_order_key(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="k")
        send(engine, "c", order_key="other")
        lease = claim_one(engine)
        depart(engine)
        assert labels(unload(engine).jobs) == ["c"]
        assert depart(engine) == Departed()
        fail(engine, lease, delay=60.0)
        depart(engine)
        assert labels(unload(engine).jobs) == ["a", "b"]

    def test_the_oldest_depart_first(self, engine: Engine) -> None:
        send(engine, "a", order_key="k")
        send(engine, "b", priority=9)
        send(engine, "c", order_key="k", delay=60.0)
        send(engine, "d", order_key="k")
        depart(engine, 3)
        assert labels(unload(engine).jobs) == ["a", "b", "c"]
        assert state(engine, "d") is State.READY

    def test_finished_jobs_depart_after_all_that_wait(self, engine: Engine) -> None:
        send(engine, "a", "b")
        settle(engine, claim_one(engine))
        depart(engine)
        assert labels(unload(engine).jobs) == ["b"]
        depart(engine)
        assert labels(unload(engine).jobs) == ["a"]

    def test_a_load_may_be_too_heavy_for_all(self, engine: Engine) -> None:
        send(engine, "a", "b", "c", headers={"weight": "x" * 1000})
        assert depart(engine, nbytes=2600) == Departed(jobs=2)
        unload(engine)
        assert depart(engine, nbytes=1) == Departed(jobs=1)

    def test_nothing_departs_from_an_empty_engine(self, engine: Engine) -> None:
        assert depart(engine) == Departed()
        assert engine.load([KEY]).wait(PATIENCE).get(KEY) is None

    def test_a_key_is_used_once(self, engine: Engine) -> None:
        send(engine, "a")
        apply(engine, Put(KEY, b"somebody else's"))
        with pytest.raises(Conflict):
            depart(engine)
        assert state(engine, "a") is State.READY

    def test_a_refused_commit_lets_nothing_depart(self, engine: Engine) -> None:
        send(engine, "a")
        with pytest.raises(Conflict):
            commit(engine, PauseQueue("default"), Depart(KEY, 9, PLENTY), Put("k", b"", 7))
        assert state(engine, "a") is State.READY
        assert engine.load([KEY]).wait(PATIENCE).get(KEY) is None
        assert labels(claim(engine)) == ["a"]

    def test_its_unique_key_is_free_where_it_was(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        depart(engine)
        send(engine, "b", unique_key="k")
        assert state(engine, "b") is State.READY

    def test_entries_wait_for_the_last_unfinished_job(self, engine: Engine) -> None:
        apply(engine, Put("k", b"v"))
        send(engine, "a")
        lease = claim_one(engine)
        assert depart(engine) == Departed()
        settle(engine, lease)
        assert depart(engine) == Departed(jobs=1)
        unload(engine)
        assert depart(engine) == Departed(entries=1)
        assert engine.load(["k"]).wait(PATIENCE).get("k") is None

    def test_what_the_move_itself_remembers_stays(self, engine: Engine) -> None:
        apply(engine, Put(f"{MOVE_PREFIX}to", b"there"))
        apply(engine, Put("headrace.mover", b"v"))
        assert depart(engine) == Departed(entries=1)
        assert [entry.key for entry in unload(engine).entries] == ["headrace.mover"]


class RestoreSuite:
    """What comes back is as it was."""

    def test_waiting_jobs_come_back_as_they_were(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", tags=("blue",), priority=3, order_key="o", unique_key="u", timeout=5.0)
        send(engine, "b", delay=60.0, expires_after=100.0, order_on_wait="skip", order_key="p")
        before = [told(record(engine, name)) for name in ("a", "b")]
        clock.advance(5)
        there_and_back(engine)
        assert [told(record(engine, name)) for name in ("a", "b")] == before
        assert depth(engine).depth == 2
        settle(engine, claim_one(engine))
        clock.advance(60)
        assert labels(claim(engine, 5)) == ["b"]

    def test_bytes_are_counted_again(self, engine: Engine) -> None:
        send(engine, "a", headers={"weight": "naïve"}, priority=2)
        before = depth(engine).bytes
        there_and_back(engine)
        assert depth(engine).bytes == before

    def test_finished_jobs_come_back_as_they_were(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", "b", "c")
        settle(engine, claim_one(engine), result=msgspec.Raw(b'{"n":[1,2.50]}'))
        bury(engine, claim_one(engine))
        apply(engine, CancelJobs((job_id("c"),), "enough"))
        send(engine, "d")
        settle(engine, claim_one(engine), result=msgspec.Raw(b"null"))
        before = [told(record(engine, name)) for name in "abcd"]
        clock.advance(5)
        there_and_back(engine)
        assert [told(record(engine, name)) for name in "abcd"] == before
        assert depth(engine).depth == 0
        assert claim(engine, 5) == ()

    def test_retention_goes_on(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a")
        settle(engine, claim_one(engine))
        kept_until = record(engine, "a").kept_until
        assert kept_until is not None
        there_and_back(engine)
        clock.advance(kept_until - clock.now() + 1)
        assert maintain(engine).pruned == 1
        assert state(engine, "a") is None

    def test_attempts_and_history_go_on(self, engine: Engine) -> None:
        send(engine, "a")
        fail(engine, claim_one(engine), delay=0.0)
        fail(engine, claim_one(engine), delay=0.0)
        before = told(record(engine, "a"))
        there_and_back(engine)
        assert told(record(engine, "a")) == before
        assert claim_one(engine).attempt == 3

    def test_how_long_a_run_took_goes_along(self, engine: Engine) -> None:
        send(engine, "a", "b")
        one, other = claim(engine, 2)
        settle(engine, one, seconds=1.25)
        settle(engine, other)
        there_and_back(engine)
        assert [record(engine, name).seconds for name in "ab"] == [1.25, None]

    def test_lost_leases_go_on(self, engine: Engine) -> None:
        send(engine, "a", "b")
        claim_one(engine)
        apply(engine, Reclaim(WORKER, Failure(cause="lease-lost")))
        there_and_back(engine)
        leases = claim(engine, 5)
        assert [lease.lost for lease in leases] in ([1], [0])
        leases += claim(engine, 5)
        assert sorted((lease.lost, lease.job_id) for lease in leases) == [
            (0, job_id("b")),
            (1, job_id("a")),
        ]

    def test_a_token_only_grows(self, engine: Engine) -> None:
        send(engine, "a")
        release(engine, claim_one(engine))
        depart(engine)
        cargo = replace(unload(engine), token=10_000)
        restore(engine, cargo)
        assert claim_one(engine).token > 10_000

    def test_the_order_of_acceptance_is_kept(self, engine: Engine) -> None:
        send(engine, "a", "b", "c")
        send(engine, "high", priority=5)
        there_and_back(engine)
        assert labels(claim(engine, 5)) == ["high", "a", "b", "c"]

    def test_an_edited_priority_is_kept(self, engine: Engine) -> None:
        send(engine, "a", "b")
        apply(engine, EditJobs((job_id("b"),), priority=7))
        there_and_back(engine)
        assert labels(claim(engine, 5)) == ["b", "a"]

    def test_an_order_key_holds(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="k")
        there_and_back(engine, 1)
        depart(engine)
        restore(engine, unload(engine))
        lease = claim_one(engine)
        assert claim(engine, 5) == ()
        settle(engine, lease)
        assert len(claim(engine, 5)) == 1

    def test_a_head_that_waits_holds_its_group(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", order_key="k", delay=60.0)
        send(engine, "b", order_key="k")
        there_and_back(engine)
        assert claim(engine, 5) == ()
        clock.advance(61)
        assert labels(claim(engine, 5)) == ["a"]

    def test_a_moment_that_has_passed_is_now(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", delay=60.0)
        depart(engine)
        clock.advance(61)
        restore(engine, unload(engine))
        assert labels(claim(engine)) == ["a"]

    def test_an_expiry_goes_on(self, engine: Engine, clock: ManualClock) -> None:
        send(engine, "a", expires_after=60.0)
        send(engine, "b", expires=clock.now() + 60)
        there_and_back(engine)
        clock.advance(61)
        assert claim(engine, 5) == ()
        maintain(engine)
        assert state(engine, "a") is State.DEAD
        assert state(engine, "b") is State.DEAD

    def test_a_moved_job_that_was_redriven_no_longer_expires(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        send(engine, "a", expires_after=60.0)
        bury(engine, claim_one(engine))
        apply(engine, RetryJobs((job_id("a"),)))
        there_and_back(engine)
        clock.advance(61)
        assert labels(claim(engine)) == ["a"]

    def test_a_dead_job_can_be_redriven_there(self, engine: Engine) -> None:
        send(engine, "a", order_key="k", unique_key="u")
        bury(engine, claim_one(engine))
        there_and_back(engine)
        apply(engine, RetryJobs((job_id("a"),)))
        assert claim_one(engine).attempt == 1

    def test_an_id_that_is_taken_refuses_all(self, engine: Engine) -> None:
        send(engine, "a", "b")
        depart(engine)
        cargo = unload(engine)
        send(engine, "b")
        with pytest.raises(DuplicateJob) as refused:
            apply(engine, Restore(cargo))
        assert refused.value.job_id == job_id("b")
        assert state(engine, "a") is None

    def test_a_unique_key_that_is_held_refuses_all(self, engine: Engine) -> None:
        send(engine, "a")
        send(engine, "b", unique_key="k")
        depart(engine)
        cargo = unload(engine)
        send(engine, "c", unique_key="k")
        with pytest.raises(DuplicateJob) as refused:
            apply(engine, Restore(cargo))
        assert refused.value.job_id == job_id("c")
        assert state(engine, "a") is None
        assert depth(engine).depth == 1

    def test_a_finished_job_needs_no_key(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        settle(engine, claim_one(engine))
        depart(engine)
        cargo = unload(engine)
        send(engine, "b", unique_key="k")
        restore(engine, cargo)
        assert state(engine, "a") is State.SUCCEEDED

    def test_a_restored_job_holds_its_key(self, engine: Engine) -> None:
        send(engine, "a", unique_key="k")
        there_and_back(engine)
        with pytest.raises(DuplicateJob):
            send(engine, "b", unique_key="k")
        settle(engine, claim_one(engine))
        send(engine, "b", unique_key="k")

    def test_limits_do_not_count(self, engine: Engine) -> None:
        send(engine, "a", "b")
        depart(engine)
        apply(engine, LimitQueue("default", QueueLimits(max_depth=1)))
        restore(engine, unload(engine))
        assert depth(engine).depth == 2

    def test_an_unknown_version_is_refused(self, engine: Engine) -> None:
        send(engine, "a")
        depart(engine)
        (job,) = unload(engine).jobs
        newer = replace(job, message=replace(job.message, v=999))
        with pytest.raises(HeadraceError):
            apply(engine, Restore(Cargo(jobs=(newer,))))
        assert state(engine, "a") is None

    def test_a_running_job_is_refused(self, engine: Engine) -> None:
        send(engine, "a")
        claim_one(engine)
        running = record(engine, "a")
        with pytest.raises(HeadraceError):
            apply(engine, Restore(Cargo(jobs=(replace(running, message=message("b")),))))
        assert state(engine, "b") is None

    def test_a_stale_lease_from_before_is_lost(self, engine: Engine) -> None:
        send(engine, "a")
        stale = claim_one(engine)
        release(engine, stale)
        there_and_back(engine)
        claim_one(engine)
        assert settle(engine, stale).lost == {job_id("a")}

    def test_entries_come_back_with_their_versions(
        self, engine: Engine, clock: ManualClock
    ) -> None:
        apply(engine, Put("k", b"1"))
        apply(engine, Put("k", b"\x00\xff"))
        apply(engine, Put("short", b"", expires_after=60.0))
        there_and_back(engine)
        entry = engine.load(["k"]).wait(PATIENCE).get("k")
        assert entry is not None
        assert (entry.value, entry.version) == (b"\x00\xff", 2)
        assert apply(engine, Put("k", b"3", expect=2)).version == 3
        assert engine.load(["short"]).wait(PATIENCE).get("short") is not None
        clock.advance(61)
        assert engine.load(["short"]).wait(PATIENCE).get("short") is None

    def test_an_entry_that_is_there_stays(self, engine: Engine, clock: ManualClock) -> None:
        apply(engine, Put("k", b"old"))
        apply(engine, Put("gone", b"old"))
        depart(engine)
        cargo = unload(engine)
        apply(engine, Put("k", b"new"))
        apply(engine, Put("gone", b"new", expires_after=1.0))
        clock.advance(2)
        restore(engine, cargo)
        values = [entry.value for entry in engine.scan("").wait(PATIENCE)]
        assert values == [b"old", b"new"]

    def test_a_batch_is_taken_in_once(self, engine: Engine) -> None:
        send(engine, "a")
        depart(engine)
        cargo = unload(engine)
        mark = Put(f"{MOVE_PREFIX}from/1", b"", expect=0)
        commit(engine, mark, Restore(cargo), PauseQueue("default", paused=False))
        settle(engine, claim_one(engine))
        with pytest.raises(Conflict):
            commit(engine, mark, Restore(cargo))

    def test_restored_jobs_and_new_ones_live_together(self, engine: Engine) -> None:
        send(engine, "a", "b", order_key="k")
        depart(engine)
        cargo = unload(engine)
        send(engine, "c", order_key="k")
        apply(engine, Send((message("d"),)))
        restore(engine, cargo)
        seen = []
        while leases := claim(engine, 5):
            for lease in leases:
                seen += labels([lease])
                settle(engine, lease)
        assert [name for name in seen if name != "d"] == ["c", "a", "b"]
