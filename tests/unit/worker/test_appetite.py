"""As many jobs are claimed as keep the slots busy, and none is hoarded."""

from headrace.testing.clock import ManualClock
from headrace.worker.appetite import Appetite
from tests.unit.worker.stage import FakePool, a_run


def test_free_slots_are_filled() -> None:
    pool = FakePool(slots=10)
    appetite = Appetite([pool], ManualClock())
    assert appetite.limit() == 10
    pool.running = 4
    assert appetite.limit() == 6


def test_while_the_pace_is_not_known_a_second_helping_is_claimed() -> None:
    clock, pool = ManualClock(), FakePool(slots=10)
    appetite = Appetite([pool], clock)
    appetite.fed({pool: appetite.limit()})
    pool.running = 10
    clock.advance(0.001)
    assert appetite.limit() == 10
    appetite.fed({pool: 10})
    pool.runs = [a_run(number) for number in range(10)]
    clock.advance(0.001)
    assert appetite.limit() == 0
    assert appetite.hoarding() == []


def test_what_slow_runs_keep_waiting_is_handed_back() -> None:
    clock, pool = ManualClock(), FakePool(slots=10)
    appetite = Appetite([pool], clock)
    appetite.fed({pool: 20})
    pool.running = 10
    pool.runs = [a_run(number) for number in range(10)]
    clock.advance(0.1)
    appetite.limit()
    assert appetite.hoarding() == []
    clock.advance(0.1)
    appetite.limit()
    assert appetite.hoarding() == [pool]
    pool.withdraw()
    assert appetite.limit() == 0
    assert appetite.hoarding() == []


def test_what_fast_runs_keep_waiting_is_not_handed_back() -> None:
    clock, pool = ManualClock(), FakePool(slots=10)
    appetite = Appetite([pool], clock)
    appetite.fed({pool: 20})
    for _ in range(20):
        pool.running = 10
        pool.runs = [a_run(number) for number in range(10)]
        clock.advance(0.1)  # ten runs end meanwhile
        appetite.limit()
        assert appetite.hoarding() == []
        appetite.fed({pool: 10})


def test_slow_jobs_are_not_hoarded() -> None:
    clock, pool = ManualClock(), FakePool(slots=10)
    appetite = Appetite([pool], clock)
    for _ in range(5):
        appetite.fed({pool: 1})
        pool.running = 10
        clock.advance(10)
        assert appetite.limit() == 0


def test_fast_jobs_are_claimed_ahead_up_to_a_bound() -> None:
    clock, pool = ManualClock(), FakePool(slots=10)
    appetite = Appetite([pool], clock)
    limits = []
    for _ in range(10):
        limit = appetite.limit()
        limits.append(limit)
        appetite.fed({pool: limit})  # and all of them end
        clock.advance(0.01)
    assert limits[0] == 10
    assert limits[1] > 100
    assert limits[-1] == 2000


def test_the_fullest_of_the_pools_that_were_fed_decides() -> None:
    threads, tasks = FakePool(slots=4), FakePool(slots=100)
    appetite = Appetite([threads, tasks], ManualClock())
    assert appetite.limit() == 4
    appetite.fed({tasks: 4})
    assert appetite.limit() == 100
    appetite.fed({tasks: 50, threads: 50})
    threads.running, tasks.running = 3, 50
    assert appetite.limit() == 1


def test_a_full_pool_does_not_starve_an_idle_one() -> None:
    clock, threads, tasks = ManualClock(), FakePool(slots=4), FakePool(slots=100)
    appetite = Appetite([threads, tasks], clock)
    appetite.fed({threads: 4})
    threads.running = 4
    clock.advance(1)
    assert appetite.limit() == 1
    threads.runs = [a_run(number) for number in range(4)]
    assert appetite.limit() == 0


def test_runs_that_end_in_a_burst_are_not_taken_for_fast_ones() -> None:
    clock, pool = ManualClock(), FakePool(slots=10)
    appetite = Appetite([pool], clock)
    appetite.fed({pool: appetite.limit()})
    pool.running = 10
    clock.advance(0.2)
    assert appetite.limit() == 0
    pool.running = 1
    clock.advance(0.001)  # nine ends in a millisecond, of runs that took 0.2 s
    assert appetite.limit() <= 9 + 9


def test_what_stands_before_the_jobs_of_an_idle_pool_is_kept() -> None:
    clock, threads, tasks = ManualClock(), FakePool(slots=4), FakePool(slots=100)
    appetite = Appetite([threads, tasks], clock)
    appetite.fed({threads: 4})
    threads.running, threads.runs = 4, [a_run(1)]
    clock.advance(1)
    appetite.limit()
    assert appetite.hoarding() == []
    tasks.running = 100
    appetite.limit()
    assert appetite.hoarding() == [threads]


def test_a_job_for_a_pool_that_no_task_uses_changes_nothing() -> None:
    pool, unused = FakePool(slots=10), FakePool(slots=10)
    appetite = Appetite([pool], ManualClock())
    appetite.fed({unused: 1})
    assert appetite.limit() == 10
