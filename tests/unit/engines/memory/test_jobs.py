"""The table of jobs: its indexes follow every change, and every undoing."""

from __future__ import annotations

from headrace.engines.memory import job as life
from headrace.engines.memory.changes import Changes
from headrace.engines.memory.job import Job
from headrace.engines.memory.jobs import Jobs
from headrace.record import Cause, QueueLimits, QueueStatus
from headrace.testing.steps import job_id, labels, message

NOW = 1000.0


def accept(jobs: Jobs, label: str, **fields: object) -> Job:
    return jobs.put(life.accepted(message(label, **fields), jobs.next_place(), NOW))


def picture(jobs: Jobs) -> object:
    """Return all that can be seen of the table."""
    lines = {name: jobs.line(name) for name in jobs.lines()}
    return (
        jobs.newest_first(),
        {name: line.status(NOW, 0.0) for name, line in lines.items()},
        {name: line.next() for name, line in lines.items()},
        [jobs.holding(key) for key in ("k", "l")],
        jobs.held_by("w"),
    )


def test_jobs_are_found_by_id_and_listed_newest_first() -> None:
    jobs = Jobs(Changes())
    accept(jobs, "b")
    accept(jobs, "a")
    assert labels(job.id for job in jobs.newest_first()) == ["a", "b"]
    assert jobs.get(job_id("a")) is jobs.newest_first()[0]
    assert jobs.get(job_id("c")) is None


def test_a_unique_key_is_held_while_its_job_lives() -> None:
    jobs = Jobs(Changes())
    job = accept(jobs, "a", unique_key="k")
    assert jobs.holding("k") == job
    jobs.put(life.cancelled(job, Cause.CANCELLED, "", NOW))
    assert jobs.holding("k") is None
    assert jobs.get(job.id) is not None


def test_a_worker_holds_what_it_runs() -> None:
    jobs = Jobs(Changes())
    job = jobs.put(life.claimed(accept(jobs, "a"), "w.1", "w", 9.0))
    accept(jobs, "b")
    assert jobs.held_by("w") == [job]
    assert jobs.held_by("w.1") == []


def test_a_queue_begins_with_its_first_write() -> None:
    jobs = Jobs(Changes())
    assert jobs.known_line("q") is None
    assert jobs.lines() == []
    jobs.pause("q", paused=True)
    assert jobs.known_line("q") is jobs.line("q")
    assert jobs.lines() == ["q"]


def test_everything_can_be_undone() -> None:
    changes = Changes()
    jobs = Jobs(changes)
    kept = accept(jobs, "kept", unique_key="k", order_key="g")
    accept(jobs, "next", order_key="g")
    run = jobs.put(life.claimed(accept(jobs, "run", queue="other"), "w.1", "w", 9.0))
    changes.keep()
    before = picture(jobs)

    jobs.put(life.cancelled(kept, Cause.REPLACED, "", NOW))
    accept(jobs, "new", unique_key="k", queue="third")
    jobs.drop(run.id)
    jobs.pause("default", paused=True)
    jobs.limit("other", QueueLimits(max_depth=1))
    jobs.drained("default", 5.0)
    assert picture(jobs) != before

    changes.rollback()
    assert picture(jobs) == before


def test_what_is_undone_leaves_no_queue_behind() -> None:
    changes = Changes()
    jobs = Jobs(changes)
    accept(jobs, "a", queue="q")
    changes.rollback()
    assert jobs.lines() == []
    assert jobs.line("q").status(NOW, 0.0) == QueueStatus(name="q")


def test_what_can_be_claimed_or_has_finished_is_a_topic() -> None:
    changes = Changes()
    jobs = Jobs(changes)
    accept(jobs, "later", delay=5.0)
    assert changes.take_topics() == set()
    accept(jobs, "a")
    assert changes.take_topics() == {"ready"}
    jobs.drained("default", 5.0)
    assert changes.take_topics() == {"finished"}
