"""One queue's line: who is next, and how many there are."""

from __future__ import annotations

from msgspec.structs import replace

from headrace.engines.memory import job as life
from headrace.engines.memory.job import Job
from headrace.engines.memory.line import Group, Line
from headrace.record import QueueLimits, State
from headrace.testing.steps import message

NOW = 1000.0


def job(place: int, **fields: object) -> Job:
    return life.accepted(message(f"{place}", **fields), place, NOW)


def start(line: Line, waiting: Job) -> Job:
    """Let a job of a line run."""
    line.remove(waiting)
    running = life.claimed(waiting, "w.1", "w", 0.0)
    line.add(running)
    return running


def test_an_empty_line_has_nobody_next() -> None:
    assert Line("q").next() is None
    assert Line("q").depth == 0


def test_next_is_the_highest_priority_then_the_oldest() -> None:
    line = Line("q")
    jobs = [job(1), job(2, priority=1), job(3, priority=1)]
    for each in jobs:
        line.add(each)
    order = []
    while (following := line.next()) is not None:
        order.append(following.place)
        line.remove(following)
    assert order == [2, 3, 1]


def test_looking_takes_nobody() -> None:
    line = Line("q")
    line.add(job(1))
    assert line.next() is line.next() is not None


def test_adding_says_whether_somebody_can_be_claimed() -> None:
    line = Line("q")
    assert line.add(job(1))
    assert not line.add(job(2, delay=5.0))
    head = job(3, order_key="g", delay=5.0)
    assert not line.add(head)
    assert not line.add(job(4, order_key="g"))
    assert line.remove(head)


def test_an_old_entry_does_not_count() -> None:
    line = Line("q")
    old = job(1, priority=5)
    line.add(old)
    line.add(job(2))
    line.remove(old)
    line.add(replace(old, priority=-5))
    following = line.next()
    assert following is not None
    assert following.place == 2


def test_the_status_counts_by_state() -> None:
    line = Line("q")
    jobs = [job(1), job(2), job(3, delay=7.0), job(4, delay=9.0)]
    for each in jobs:
        line.add(each)
    start(line, jobs[0])
    status = line.status(NOW, 0.0)
    assert (status.ready, status.running, status.scheduled) == (1, 1, 2)
    assert status.bytes == sum(each.size for each in jobs)
    assert status.due_in == 7.0
    line.remove(jobs[2])
    assert line.status(NOW + 10, 0.0).due_in == 0.0


def test_a_paused_line_gives_nobody() -> None:
    line = Line("q")
    waiting = job(1)
    line.add(waiting)
    line.paused = True
    assert line.next() is None
    assert line.reason(waiting) == "queue-paused"
    line.paused = False
    assert line.next() is waiting
    assert line.reason(waiting) == ""


def test_excess_is_what_has_to_go_first() -> None:
    line = Line("q")
    for place in range(1, 5):
        line.add(job(place))
    new = job(5)
    assert line.excess(new) == 0
    line.limits = QueueLimits(max_depth=5)
    assert line.excess(new) == 0
    line.limits = QueueLimits(max_depth=2)
    assert line.excess(new) == 3
    line.limits = QueueLimits(max_bytes=5 * new.size)
    assert line.excess(new) == 0
    line.limits = QueueLimits(max_bytes=3 * new.size)
    assert line.excess(new) == 2


def test_the_head_of_a_group() -> None:
    group = Group()
    assert group.head() is None
    second, first = job(2), job(1)
    group.add(second)
    group.add(first)
    assert group.head() is first
    group.remove(first)
    assert group.head() is second


def test_a_running_job_blocks_its_group_wherever_it_stands() -> None:
    group = Group()
    later = replace(job(2), state=State.RUNNING)
    group.add(job(1))
    group.add(later)
    assert group.head() is None
    group.remove(later)
    assert group.head() is not None


def test_a_waiting_head_holds_or_is_skipped() -> None:
    holds, skipped = Group(), Group()
    holds.add(job(1, delay=5.0))
    skipped.add(job(1, delay=5.0, order_on_wait="skip"))
    follower = job(2)
    for group in (holds, skipped):
        group.add(follower)
    assert holds.head() is None
    assert skipped.head() is follower
