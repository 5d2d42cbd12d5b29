"""Writes become what the script reads."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from headrace.cargo import Cargo, Keepsake
from headrace.engines.redis.asking import facts_of, pack, verbs_of
from headrace.errors import InvalidOption
from headrace.record import Attempt, Failure, QueueLimits, Record, State
from headrace.testing.steps import message
from headrace.write import (
    CancelJobs,
    Delete,
    EditJobs,
    LimitQueue,
    PauseQueue,
    Put,
    Reclaim,
    Restore,
    Send,
    Settle,
    Settlement,
    Write,
)
from headrace.write import Lease as Held

LEASE = Held(message=message("a"), token=7, claim="w.1")


def test_a_plain_message_takes_few_words() -> None:
    ((job_id, task, queue, text, priority, attempt),) = facts_of([message("a", priority=2)])
    assert (job_id, task, queue) == (message("a").id, "noop", "default")
    assert (priority, attempt) == (2, 0)
    assert msgspec.json.decode(text)["priority"] == 2


@pytest.mark.parametrize(
    ("fields", "place", "value"),
    [
        ({"delay": 5.0}, 6, 5.0),
        ({"run_at": 7.0}, 7, 7.0),
        ({"expires_after": 0.0}, 8, 0.0),
        ({"expires": 9.0}, 9, 9.0),
        ({"unique_key": "k"}, 10, "k"),
        ({"on_conflict": "replace"}, 11, True),
        ({"order_key": "g"}, 12, "g"),
        ({"order_on_wait": "skip"}, 13, True),
        ({"lease": 60.0}, 14, 60.0),
        ({"tags": ("red",)}, 17, ("red",)),
    ],
)
def test_each_option_has_its_place(fields: dict[str, object], place: int, value: object) -> None:
    (facts,) = facts_of([message("a", **fields)])
    assert facts[place] == value
    assert [fact for at, fact in enumerate(facts) if at > 5 and at != place and fact] == []


def test_a_message_of_a_newer_version_is_refused() -> None:
    with pytest.raises(InvalidOption, match="version 9"):
        facts_of([message("a", v=9)])


def test_a_success_takes_few_words_and_a_failure_all() -> None:
    done = Settlement(lease=LEASE, to=State.SUCCEEDED, result=msgspec.Raw(b"1"))
    failed = replace(done, to=State.SCHEDULED, delay=3.0, failure=Failure(cause="error"))
    ((word, (short, long), strict),), _ = verbs_of([Settle((done, failed), strict=True)])
    assert (word, strict) == ("settle", True)
    assert short == (LEASE.job_id, 7, "w.1", "succeeded", True, "1")
    assert long[6:] == (3.0, "error", '{"cause":"error"}')
    timed = replace(done, seconds=1.5)
    ((_, (long,), _),), _ = verbs_of([Settle((timed,))])
    assert long[5:] == ("1", 0.0, False, False, 1.5)


def test_a_run_cannot_go_on_by_being_settled() -> None:
    with pytest.raises(InvalidOption, match="extend"):
        verbs_of([Settle((Settlement(lease=LEASE, to=State.RUNNING),))])


@pytest.mark.parametrize(
    ("write", "verb"),
    [
        (CancelJobs(("1",), "why"), ("cancel", ("1",), "why")),
        (EditJobs(("1",), priority=0), ("edit", ("1",), 0, False)),
        (PauseQueue("q"), ("pause", "q", True)),
        (LimitQueue("q", QueueLimits(max_depth=0)), ("limit", "q", 0, False)),
        (Delete("k", expect=0), ("delete", "k", 0)),
        (Send(()), ("send", [])),
    ],
)
def test_what_is_not_said_is_false_and_nothing_is_not(
    write: Write[object], verb: tuple[object, ...]
) -> None:
    assert verbs_of([write])[0] == [verb]


def test_values_stand_beside_the_writes() -> None:
    verbs, blobs = verbs_of([Put("a", b"\xff"), Put("b", b"2", expires_after=1.0)])
    assert blobs == [b"\xff", b"2"]
    assert verbs == [("put", "a", 3, False, False), ("put", "b", 4, False, 1.0)]


def test_a_failure_is_packed_by_its_names() -> None:
    ((_, holder, failure, counted),), _ = verbs_of(
        [Reclaim("w", Failure(cause="crash", message="9"))]
    )
    assert (holder, counted) == ("w", True)
    assert msgspec.msgpack.decode(pack(failure)) == {"cause": "crash", "message": "9"}


def test_what_is_no_write_is_refused() -> None:
    class Strange(Write[None], frozen=True):
        """None of ours."""

    with pytest.raises(TypeError, match="Strange"):
        verbs_of([Strange()])


def restored(job: Record) -> tuple[object, ...]:
    ((_, token, (facts,), _),), _ = verbs_of([Restore(Cargo(token=7, jobs=(job,)))])
    assert token == 7
    assert facts[0] == facts_of([job.message])[0]
    return tuple(facts[1:])


def test_a_job_that_waits_arrives_with_its_moments() -> None:
    failure = Failure(cause="error")
    job = Record(
        message=message("a", expires_after=5.0),
        state=State.SCHEDULED,
        accepted_at=1.0,
        run_at=3.0,
        attempt=1,
        lost=2,
        failure=failure,
        history=(Attempt(number=1, ended_at=2.0, failure=failure, counted=False),),
    )
    past = [(1, '{"cause":"error"}', False, 2.0)]
    assert restored(job) == (
        "scheduled", 1.0, 6.0, 3.0, 1, 2, False, False, False, False, False, past, False
    )  # fmt: skip


def test_a_finished_job_arrives_with_its_end() -> None:
    ended = Record(
        message=message("a", expires=9.0),
        state=State.DEAD,
        accepted_at=1.0,
        finished_at=2.0,
        kept_until=4.0,
        failure=Failure(cause="expired"),
        result=msgspec.Raw(b"null"),
    )
    assert restored(ended)[1:] == (
        1.0, False, False, 0, 0, 2.0, 4.0, "expired", "null", '{"cause":"expired"}', [], False
    )  # fmt: skip


def test_entries_arrive_beside_the_writes() -> None:
    cargo = Cargo(entries=(Keepsake("k", b"\xff", 3), Keepsake("l", b"2", 1, 5.0)))
    verbs, blobs = verbs_of([Put("a", b"1"), Restore(cargo)])
    assert verbs[1] == ("restore", 0, [], [("k", 3, False, 4), ("l", 1, 5.0, 5)])
    assert blobs == [b"1", b"\xff", b"2"]


def test_a_running_job_does_not_arrive() -> None:
    job = Record(message=message("a"), state=State.RUNNING, accepted_at=1.0)
    with pytest.raises(InvalidOption, match="runs"):
        restored(job)
