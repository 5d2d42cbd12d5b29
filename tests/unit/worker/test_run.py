"""A run remembers why it was asked to stop."""

from headrace.worker.run import Run
from tests.unit.worker.stage import FakePool, a_run, lease, recipe


def test_the_first_reason_counts() -> None:
    run = a_run()
    run.stop("timeout")
    run.stop("cancelled")
    assert run.stopped == "timeout"


def test_a_lost_lease_outweighs_every_reason() -> None:
    run = a_run()
    run.stop("stopping")
    run.stop("lost")
    assert run.stopped == "lost"


def test_stopping_interrupts_it_where_it_runs() -> None:
    pool = FakePool()
    run = Run(lease(), recipe(pool=pool), 2000.0)
    run.stop("cancelled")
    assert pool.interrupted == [run]


def test_a_run_that_has_ended_cannot_be_stopped() -> None:
    run = a_run()
    run.ended = True
    run.stop("lost")
    assert run.stopped == ""


def test_two_runs_of_one_job_are_not_the_same() -> None:
    older, newer = a_run(1), a_run(1)
    assert older != newer
    assert len({older, newer}) == 2
