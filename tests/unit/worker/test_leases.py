"""What is held is known, and who waits for it to change is told."""

import threading

from headrace.worker.leases import Leases
from tests.unit.worker.stage import a_run


def test_runs_are_held_until_they_are_dropped() -> None:
    leases, first, second = Leases(), a_run(1), a_run(2)
    leases.hold([first, second])
    leases.drop([first])
    assert leases.held() == [second]
    assert len(leases) == 1


def test_dropping_what_is_not_held_changes_nothing() -> None:
    leases = Leases()
    leases.drop([a_run()])
    assert leases.held() == []


def test_waiting_ends_when_the_condition_holds() -> None:
    leases, run = Leases(), a_run()
    leases.hold([run])
    timer = threading.Timer(0.01, leases.drop, ([run],))
    timer.start()
    assert leases.wait_until(lambda held: not held, 30)
    timer.join()


def test_waiting_gives_up_in_time() -> None:
    leases = Leases()
    leases.hold([a_run()])
    assert not leases.wait_until(lambda held: not held, 0.01)
