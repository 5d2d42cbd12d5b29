"""The suites find what they are for: each test here plants one bug and names who must find it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from headrace.engines.memory import MemoryEngine, job
from headrace.engines.memory.changes import Changes
from headrace.engines.memory.core import Core
from headrace.engines.memory.entries import Entries
from headrace.engines.memory.job import Job
from headrace.engines.memory.jobs import Jobs
from headrace.engines.memory.line import Group, Line
from headrace.engines.memory.moments import Moments
from headrace.engines.memory.writes import Writer
from headrace.ids import Ids
from headrace.record import QueueLimits, State
from headrace.testing import ManualClock
from headrace.testing.keys_suite import OrderKeySuite, UniqueKeySuite
from headrace.testing.lease_suite import LeaseSuite
from headrace.testing.ledger_suite import ChangeSuite, RetentionSuite
from headrace.testing.lifecycle_suite import NativeTransactionSuite
from headrace.testing.loss_suite import CancelRunningSuite, LostLeaseSuite
from headrace.testing.move_suite import DepartSuite, RestoreSuite
from headrace.testing.queue_suite import LimitsSuite, QueueSuite
from headrace.testing.store_suite import StoreSuite
from headrace.write import Put, Settle, Settlement
from tests.conformance.test_engines import AllSuites

Replacement = Callable[[Any], Any]
Finder = Callable[..., None]


class Plant(NamedTuple):
    """A bug: what is replaced, by what (made from the original), and the tests that must fail."""

    owner: Any
    name: str
    make: Replacement
    finders: tuple[Finder, ...]


def settles_blindly(original: Any) -> Any:
    def settle(self: Writer, write: Settle) -> Any:
        forged = []
        for settlement in write.settlements:
            found = self._jobs.get(settlement.lease.job_id)
            current = found if found is not None and found.state is State.RUNNING else None
            lease = settlement.lease if current is None else job.leased(current)
            forged.append(replace(settlement, lease=lease))
        return original(self, Settle(tuple(forged), write.strict))

    return settle


def counts_everything(original: Any) -> Any:
    def settled(found: Job, settlement: Settlement, now: float) -> Job:
        changed: Job = original(found, replace(settlement, counted=True), now)
        return changed

    return settled


def forgets_the_wish(original: Any) -> Any:
    def settled(found: Job, settlement: Settlement, now: float) -> Job:
        changed: Job = original(replace(found, cancelling=None), settlement, now)
        return changed

    return settled


def never_suspects(original: Any) -> Any:
    def forsaken(*given: Any, **named: Any) -> Job:
        changed: Job = original(*given, **named)
        return replace(changed, lost=0)

    return forsaken


def repeats_tokens(original: Any) -> Any:
    def redriven(*given: Any) -> Job:
        changed: Job = original(*given)
        return replace(changed, token=0)

    return redriven


def keeps_the_default_time(original: Any) -> Any:
    def accepted(message: Any, *given: Any) -> Job:
        changed: Job = original(message, *given)
        return replace(changed, message=replace(message, retention=None))

    return accepted


def overlaps(_: Any) -> Any:
    def head(self: Group) -> Job | None:
        ready = (self._jobs[place] for place in self._places)
        return next((found for found in ready if found.state is State.READY), None)

    return head


def skips_waiting_heads(_: Any) -> Any:
    def head(self: Group) -> Job | None:
        ready = (self._jobs[place] for place in self._places if not self._running)
        return next((found for found in ready if found.state is State.READY), None)

    return head


def takes_the_newest(_: Any) -> Any:
    def next_job(self: Line) -> Job | None:
        ready = [found for found in self._jobs.values() if self._claimable(found)]
        return max(ready, key=lambda found: (found.priority, found.place), default=None)

    return next_job


def ignores_priority(_: Any) -> Any:
    def next_job(self: Line) -> Job | None:
        ready = [found for found in self._jobs.values() if self._claimable(found)]
        return min(ready, key=lambda found: found.place, default=None)

    return next_job


def ignores_pause(original: Any) -> Any:
    def next_job(self: Line) -> Any:
        paused, self.paused = self.paused, False
        found = original(self)
        self.paused = paused
        return found

    return next_job


def empties_queues_in_turn(original: Any) -> Any:
    def claim(self: Core, queues: Any, limit: int, *given: Any) -> Any:
        for queue in queues:
            if leases := original(self, (queue,), limit, *given):
                return leases
        return ()

    return claim


def takes_namesakes(_: Any) -> Any:
    def held_by(self: Jobs, holder: str) -> list[Job]:
        return [found for found in self._jobs.values() if found.claim.startswith(holder)]

    return held_by


def limits_only_depth(original: Any) -> Any:
    def limit(self: Jobs, queue: str, limits: QueueLimits) -> None:
        original(self, queue, QueueLimits(max_depth=limits.max_depth))

    return limit


def ignores_expect(original: Any) -> Any:
    def put(self: Entries, write: Put, now: float) -> Any:
        return original(self, Put(write.key, write.value, None, write.expires_after), now)

    return put


def replaces_what_runs(_: Any) -> Any:
    def rival(self: Writer, message: Any) -> Job | None:
        return self._jobs.holding(message.unique_key) if message.unique_key else None

    return rival


def departs_from_all(_: Any) -> Any:
    def movable(self: Jobs) -> list[Job]:
        return [found for found in self.newest_first()[::-1] if found.waiting]

    return movable


def departs_backwards(original: Any) -> Any:
    def movable(self: Jobs) -> list[Job]:
        found: list[Job] = original(self)
        return found[::-1]

    return movable


def begins_anew(original: Any) -> Any:
    def restored(*given: Any) -> Job:
        changed: Job = original(*given)
        return replace(changed, attempt=0, lost=0, token=0)

    return restored


def readies_all(original: Any) -> Any:
    def restored(record: Any, *given: Any) -> Job:
        changed: Job = original(replace(record, state=State.READY, run_at=None), *given)
        return changed

    return restored


def overwrites(_: Any) -> Any:
    def restore(self: Entries, keepsake: Any, now: float) -> None:
        self.put(Put(keepsake.key, keepsake.value), now)

    return restore


def yields_nothing(_: Any) -> Any:
    def none(*_: Any) -> Iterator[Job]:
        return iter(())

    return none


def does_nothing(_: Any) -> Any:
    return lambda *_: None


PLANTS = {
    "a settle that ignores the token": Plant(
        Writer, "_settle", settles_blindly,
        (
            LeaseSuite.test_only_the_holder_of_the_newest_lease_settles,
            LeaseSuite.test_token_and_claim_are_both_compared,
        ),
    ),
    "an expired lease that lives": Plant(
        Moments, "lapsed", yields_nothing,
        (
            LeaseSuite.test_a_lease_without_heartbeats_expires,
            LostLeaseSuite.test_three_expired_leases_are_a_crash_loop,
        ),
    ),
    "a counted release": Plant(
        job, "settled", counts_everything,
        (
            LeaseSuite.test_a_release_is_not_counted,
            LeaseSuite.test_a_failed_attempt_counts_and_a_snooze_does_not,
        ),
    ),
    "a forgotten wish to cancel": Plant(
        job, "settled", forgets_the_wish,
        (CancelRunningSuite.test_a_run_to_be_retried_is_cancelled,),
    ),
    "suspects in company, and no crash loops": Plant(
        job, "forsaken", never_suspects,
        (
            LostLeaseSuite.test_a_suspect_is_given_alone,
            LostLeaseSuite.test_the_third_lost_lease_is_the_last,
        ),
    ),
    "a token that begins anew": Plant(
        job, "redriven", repeats_tokens, (LeaseSuite.test_the_token_only_grows,)
    ),
    "a retention that nobody reads": Plant(
        job, "accepted", keeps_the_default_time,
        (RetentionSuite.test_a_message_may_say_how_long,),
    ),
    "jobs that are never pruned": Plant(
        Moments, "outlived", yields_nothing,
        (RetentionSuite.test_finished_jobs_are_pruned_after_their_time,),
    ),
    "expired jobs that are started": Plant(
        Moments, "late", yields_nothing,
        (QueueSuite.test_no_expired_job_is_started,),
    ),
    "due jobs that are forgotten": Plant(
        Moments, "due", yields_nothing,
        (QueueSuite.test_a_delayed_job_waits, QueueSuite.test_a_due_job_is_ready),
    ),
    "a group whose jobs overlap": Plant(
        Group, "head", overlaps, (OrderKeySuite.test_only_the_head_of_a_group_is_given,)
    ),
    "a waiting head that does not hold": Plant(
        Group, "head", skips_waiting_heads,
        (
            OrderKeySuite.test_a_retried_head_holds_its_group,
            OrderKeySuite.test_a_delayed_head_holds_its_group,
        ),
    ),
    "last in, first out": Plant(
        Line, "next", takes_the_newest,
        (
            QueueSuite.test_jobs_come_in_the_order_of_acceptance,
            LeaseSuite.test_a_released_job_keeps_its_place,
        ),
    ),
    "priorities ignored": Plant(
        Line, "next", ignores_priority,
        (
            QueueSuite.test_higher_priority_goes_first_then_age,
            OrderKeySuite.test_priorities_are_compared_between_heads,
            ChangeSuite.test_a_priority_is_edited,
        ),
    ),
    "a pause that stops nobody": Plant(
        Line, "next", ignores_pause, (QueueSuite.test_a_paused_queue_gives_nothing,)
    ),
    "a queue that starves another": Plant(
        Core, "claim", empties_queues_in_turn,
        (
            QueueSuite.test_queues_share_a_claim_fairly,
            QueueSuite.test_small_claims_starve_no_queue,
        ),
    ),
    "a limit that is not heeded": Plant(
        Writer, "_check_room", does_nothing,
        (
            LimitsSuite.test_a_queue_takes_jobs_up_to_its_depth,
            LimitsSuite.test_a_batch_that_does_not_fit_is_refused_whole,
        ),
    ),
    "bytes that are not counted": Plant(
        Jobs, "limit", limits_only_depth, (LimitsSuite.test_bytes_count_too,)
    ),
    "a compare-and-set that does not compare": Plant(
        Entries, "put", ignores_expect,
        (
            StoreSuite.test_compare_and_set,
            StoreSuite.test_of_rivals_that_saw_the_same_version_one_wins,
        ),
    ),
    "a refused commit that leaves its first half": Plant(
        Changes, "rollback", lambda _: Changes.keep,
        (
            QueueSuite.test_a_commit_is_all_or_nothing,
            LeaseSuite.test_a_strict_settle_takes_the_whole_commit_with_it,
            NativeTransactionSuite.test_nothing_is_seen_before_the_commit,
        ),
    ),
    "a replacement of what runs": Plant(
        Writer, "_rival", replaces_what_runs,
        (
            UniqueKeySuite.test_replace_does_not_touch_a_running_job,
            UniqueKeySuite.test_a_held_key_refuses_the_send,
        ),
    ),
    "a departure that leaves its jobs behind": Plant(
        Jobs, "drop", does_nothing, (DepartSuite.test_what_departed_is_gone,)
    ),
    "a departure from queues that workers claim from": Plant(
        Jobs, "movable", departs_from_all, (DepartSuite.test_only_paused_queues_are_looked_at,)
    ),
    "a departure that tears an order key apart": Plant(
        Jobs, "_overtaking", does_nothing,
        (DepartSuite.test_nobody_overtakes_a_running_job_of_its_order_key,),
    ),
    "the newest departing first": Plant(
        Jobs, "movable", departs_backwards,
        (
            DepartSuite.test_the_oldest_depart_first,
            RestoreSuite.test_the_order_of_acceptance_is_kept,
        ),
    ),
    "jobs that arrive as if they were new": Plant(
        job, "restored", begins_anew,
        (
            RestoreSuite.test_attempts_and_history_go_on,
            RestoreSuite.test_lost_leases_go_on,
            RestoreSuite.test_a_token_only_grows,
        ),
    ),
    "jobs that all arrive as ready": Plant(
        job, "restored", readies_all,
        (
            RestoreSuite.test_finished_jobs_come_back_as_they_were,
            RestoreSuite.test_a_head_that_waits_holds_its_group,
        ),
    ),
    "an expiry that is lost on the way": Plant(
        job, "expiry", does_nothing, (RestoreSuite.test_an_expiry_goes_on,)
    ),
    "an expiry that comes back": Plant(
        job, "timeless", lambda _: lambda record: record,
        (RestoreSuite.test_a_moved_job_that_was_redriven_no_longer_expires,),
    ),
    "entries that arrive over others": Plant(
        Entries, "restore", overwrites,
        (
            RestoreSuite.test_an_entry_that_is_there_stays,
            RestoreSuite.test_entries_come_back_with_their_versions,
        ),
    ),
    "namesakes reclaimed": Plant(
        Jobs, "held_by", takes_namesakes, (LostLeaseSuite.test_similar_names_are_different_workers,)
    ),
}  # fmt: skip


CASES = [
    pytest.param(plant, finder, id=f"{bug}: {finder.__name__}")
    for bug, plant in PLANTS.items()
    for finder in plant.finders
]


def run(finder: Finder) -> None:
    """Run one test of a suite over a memory engine of its own."""
    clock = ManualClock()
    engine = MemoryEngine(clock=clock, ids=Ids(clock, seed=1))
    engine.open().wait(5)
    # The last three are parameters of single tests.
    fixtures = {"engine": engine, "clock": clock, "dead": "w1", "alive": "w10", "change": "token"}
    wanted = fixtures.keys() & inspect.signature(finder).parameters.keys()
    try:
        finder(AllSuites(), **{name: fixtures[name] for name in wanted})
    finally:
        engine.close().wait(5)


@pytest.mark.parametrize(("plant", "finder"), CASES)
def test_a_planted_bug_is_found(
    plant: Plant, finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(finder)
    monkeypatch.setattr(plant.owner, plant.name, plant.make(getattr(plant.owner, plant.name)))
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(finder)
