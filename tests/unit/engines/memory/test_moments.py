"""The moments at which jobs need to be looked at again."""

from __future__ import annotations

from msgspec.structs import replace

from headrace.engines.memory import job as life
from headrace.engines.memory.job import Job
from headrace.engines.memory.moments import Alarms, Moments
from headrace.record import Cause
from headrace.testing.steps import label_of, message

NOW = 1000.0


class Known:
    """Jobs by id, and their moments."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.moments = Moments(self.jobs.get)
        for job in jobs:
            self.moments.note(job)

    def change(self, job: Job) -> None:
        self.jobs[job.id] = job
        self.moments.note(job)


def job(label: str, place: int = 1, **fields: object) -> Job:
    return life.accepted(message(label, **fields), place, NOW)


def test_an_alarm_rings_once_in_the_order_of_the_moments() -> None:
    alarms = Alarms()
    alarms.set(3.0, job("c"))
    alarms.set(1.0, job("a"))
    alarms.set(2.0, job("b"))
    assert [label_of(name) for name in alarms.rung(2.0)] == ["a", "b"]
    assert [label_of(name) for name in alarms.rung(9.0)] == ["c"]
    assert list(alarms.rung(9.0)) == []


def test_a_scheduled_job_becomes_due() -> None:
    known = Known(job("a", delay=5.0))
    assert list(known.moments.due(NOW + 4)) == []
    assert [each.id for each in known.moments.due(NOW + 5)] == list(known.jobs)


def test_a_job_that_was_postponed_is_due_later() -> None:
    first = job("a", delay=5.0)
    known = Known(first)
    known.change(life.postponed(first, NOW + 9, NOW))
    assert list(known.moments.due(NOW + 5)) == []
    assert len(list(known.moments.due(NOW + 9))) == 1


def test_only_what_waits_is_late() -> None:
    waiting, running = job("a", 1, expires_after=5.0), job("b", 2, expires_after=5.0)
    known = Known(waiting, running)
    known.change(life.claimed(running, "w.1", "w", 99.0))
    assert list(known.moments.late(NOW + 5)) == [waiting]


def test_a_run_that_comes_back_too_late_is_late() -> None:
    waiting = job("a", expires_after=5.0)
    known = Known(waiting)
    running = life.claimed(waiting, "w.1", "w", 99.0)
    known.change(running)
    assert list(known.moments.late(NOW + 6)) == []
    known.change(life.postponed(running, NOW + 6, NOW + 6))
    assert len(list(known.moments.late(NOW + 6))) == 1


def test_a_heartbeat_moves_the_moment() -> None:
    running = life.claimed(job("a"), "w.1", "w", 10.0)
    known = Known(running)
    known.change(replace(running, lease_until=20.0))
    assert list(known.moments.lapsed(10.0)) == []
    assert len(list(known.moments.lapsed(20.0))) == 1


def test_what_was_kept_long_enough_is_outlived() -> None:
    ended = life.cancelled(job("a"), Cause.CANCELLED, "", NOW)
    known = Known(ended)
    assert ended.kept_until is not None
    assert list(known.moments.outlived(ended.kept_until - 1)) == []
    assert list(known.moments.outlived(ended.kept_until)) == [ended]


def test_what_is_gone_is_left_out() -> None:
    known = Known(job("a", delay=5.0))
    known.jobs.clear()
    assert list(known.moments.due(NOW + 5)) == []
