"""The steps of a job's life, as pure functions."""

from __future__ import annotations

import msgspec
import pytest

from headrace.engines.memory import job as life
from headrace.engines.memory.job import Job
from headrace.message import Retention
from headrace.record import FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT, Cause, Failure, State
from headrace.testing.steps import message
from headrace.write import LOST_LEASES_LIMIT, Lease, Settlement

NOW = 1000.0
BOOM = Failure(cause="error", message="boom")


def running(**fields: object) -> tuple[Job, Lease]:
    """Return a job that runs, and its lease."""
    job = life.claimed(life.accepted(message("a", **fields), 1, NOW), "w.1", "w", 50.0)
    return job, life.leased(job)


def test_an_accepted_job_is_ready_and_knows_its_size() -> None:
    envelope = message("a", priority=3)
    job = life.accepted(envelope, 7, NOW)
    assert (job.state, job.place, job.priority, job.accepted_at) == (State.READY, 7, 3, NOW)
    assert job.size == len(msgspec.json.encode(envelope))
    assert job.waiting


@pytest.mark.parametrize(
    ("moment", "state", "run_at"),
    [
        ({"delay": 5.0}, State.SCHEDULED, NOW + 5),
        ({"run_at": NOW + 5}, State.SCHEDULED, NOW + 5),
        ({"delay": 0.0}, State.READY, None),
        ({"run_at": NOW}, State.READY, None),
    ],
)
def test_a_moment_to_come_schedules(
    moment: dict[str, object], state: State, run_at: float | None
) -> None:
    job = life.accepted(message("a", **moment), 1, NOW)
    assert (job.state, job.run_at) == (state, run_at)


@pytest.mark.parametrize("moment", [{"expires": NOW + 5}, {"expires_after": 5.0}])
def test_an_expiry_is_a_moment(moment: dict[str, object]) -> None:
    assert life.accepted(message("a", **moment), 1, NOW).expires == NOW + 5


def test_a_lease_fits_its_job_only() -> None:
    job, lease = running()
    assert job.holds(lease)
    assert not job.holds(msgspec.structs.replace(lease, token=lease.token + 1))
    assert not job.holds(msgspec.structs.replace(lease, claim="w.2"))
    assert not life.postponed(job, NOW, NOW).holds(lease)


@pytest.mark.parametrize(
    ("to", "kept"), [(State.SUCCEEDED, 1.0), (State.CANCELLED, 1.0), (State.DEAD, 2.0)]
)
def test_an_end_is_kept_for_its_time(to: State, kept: float) -> None:
    job, lease = running(retention=Retention(succeeded=1.0, dead=2.0))
    ended = life.settled(job, Settlement(lease=lease, to=to), NOW)
    assert (ended.state, ended.finished_at, ended.kept_until) == (to, NOW, NOW + kept)
    assert (ended.attempt, ended.holder, ended.claim) == (1, "", "")


def test_a_failed_run_goes_into_the_history() -> None:
    job, lease = running()
    to_retry = Settlement(lease=lease, to=State.SCHEDULED, delay=5.0, failure=BOOM)
    waits = life.settled(job, to_retry, NOW)
    assert (waits.state, waits.run_at, waits.attempt) == (State.SCHEDULED, NOW + 5, 1)
    (entry,) = waits.history
    assert (entry.number, entry.failure, entry.counted) == (1, BOOM, True)


def test_of_a_long_history_the_beginning_and_the_end_are_kept() -> None:
    job, lease = running()
    retry = Settlement(lease=lease, to=State.SCHEDULED, failure=BOOM)
    limit = FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT
    for number in range(1, limit + 21):
        if number == limit + 1:
            assert [entry.number for entry in job.history] == list(range(1, number))
        job = life.settled(msgspec.structs.replace(job, state=State.RUNNING), retry, NOW)
    numbers = [entry.number for entry in job.history]
    assert numbers[:FIRST_ATTEMPTS_KEPT] == list(range(1, FIRST_ATTEMPTS_KEPT + 1))
    assert numbers[FIRST_ATTEMPTS_KEPT:] == list(range(limit + 21 - LAST_ATTEMPTS_KEPT, limit + 21))
    assert job.attempt == limit + 20


def test_a_lost_lease_is_evidence() -> None:
    job, _ = running()
    for lost in (1, 2):
        job = life.forsaken(job, BOOM, NOW)
        assert (job.state, job.lost, job.attempt) == (State.READY, lost, 0)
        job = life.claimed(job, "w.2", "w", 50.0)
    job = life.forsaken(job, BOOM, NOW)
    assert job.state is State.DEAD
    assert job.failure is not None
    assert (job.failure.cause, job.failure.message) == (Cause.CRASH_LOOP, "boom")
    assert [entry.failure.holder for entry in job.history] == ["w"] * 3


def test_a_lease_that_is_lost_uncounted_is_in_the_history_all_the_same() -> None:
    job, _ = running()
    for _ in range(2 * LOST_LEASES_LIMIT):
        job = life.forsaken(job, BOOM, NOW, counted=False)
        assert (job.state, job.lost, job.attempt) == (State.READY, 0, 0)
        job = life.claimed(job, "w.2", "w", 50.0)
    assert [entry.counted for entry in job.history] == [False] * 2 * LOST_LEASES_LIMIT
    twice = msgspec.structs.replace(job, lost=LOST_LEASES_LIMIT - 1)
    assert life.forsaken(twice, BOOM, NOW, counted=False).state is State.READY
    asked = msgspec.structs.replace(job, cancelling="mistake")
    assert life.forsaken(asked, BOOM, NOW, counted=False).state is State.CANCELLED


def test_the_wish_to_cancel_ends_what_the_run_does_not() -> None:
    job, lease = running()
    job = msgspec.structs.replace(job, cancelling="mistake")
    retried = life.settled(job, Settlement(lease=lease, to=State.SCHEDULED, failure=BOOM), NOW)
    assert retried.state is State.CANCELLED
    assert retried.failure == Failure(cause=Cause.CANCELLED, message="mistake")
    succeeded = life.settled(job, Settlement(lease=lease, to=State.SUCCEEDED), NOW)
    assert succeeded.state is State.SUCCEEDED


def test_a_redriven_job_begins_anew_with_its_history() -> None:
    job, lease = running(expires_after=5.0)
    dead = life.settled(job, Settlement(lease=lease, to=State.DEAD, failure=BOOM), NOW)
    back = life.redriven(dead, NOW + 1)
    assert (back.state, back.attempt, back.lost, back.expires) == (State.READY, 0, 0, None)
    assert (back.finished_at, back.kept_until) == (None, None)
    assert back.token == job.token
    assert [entry.failure.cause for entry in back.history] == ["error", "redriven"]


def test_a_record_tells_what_is_known() -> None:
    job, _ = running()
    record = life.recorded(job, "")
    assert (record.state, record.holder, record.message) == (State.RUNNING, "w", job.message)
    assert not record.cancel_asked
    asked = msgspec.structs.replace(job, cancelling="")
    assert life.recorded(asked, "").cancel_asked
