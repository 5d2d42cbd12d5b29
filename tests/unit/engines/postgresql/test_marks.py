"""Looks begin at a mark only while full ones are dear, and never hide a job for long."""

from headrace.engines.postgresql.marks import BOTTOM, FEW, LONGEST, SECONDS_PER_ENTRY, Marks


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def look(marks: Marks, entries: int) -> tuple[int, int]:
    marks.begin()
    mark = marks.of("q")
    marks.end(entries)
    return mark


def test_every_look_is_a_full_one_while_that_is_cheap() -> None:
    marks = Marks(Time())
    marks.see("q", (0, 5))
    marks.pass_by("q", (0, 9))
    assert [look(marks, FEW) for _ in range(3)] == [BOTTOM] * 3


def test_after_a_dear_look_the_next_begin_where_the_first_job_was() -> None:
    time = Time()
    marks = Marks(time)
    assert look(marks, 2 * FEW) == BOTTOM
    marks.see("q", (0, 5))
    assert look(marks, 1) == (0, 5)
    marks.pass_by("q", (0, 9))
    assert look(marks, 1) == (0, 9)
    time.now += 2 * FEW * SECONDS_PER_ENTRY
    assert look(marks, 1) == BOTTOM


def test_no_look_but_a_full_one_says_when_the_next_full_one_is() -> None:
    time = Time()
    marks = Marks(time)
    look(marks, 2 * FEW)
    time.now += FEW * SECONDS_PER_ENTRY
    look(marks, 100 * FEW)
    time.now += FEW * SECONDS_PER_ENTRY
    assert look(marks, 1) == BOTTOM


def test_nothing_is_hidden_for_longer_than_the_longest() -> None:
    time = Time()
    marks = Marks(time)
    marks.see("q", (0, 5))
    look(marks, 10**9)
    time.now += LONGEST - 1
    assert look(marks, 1) == (0, 5)
    time.now += 1
    assert look(marks, 1) == BOTTOM


def test_an_empty_queue_keeps_its_mark_and_others_have_none() -> None:
    marks = Marks(Time())
    look(marks, 2 * FEW)
    marks.pass_by("q", (0, 9))
    marks.see("q", BOTTOM)
    marks.begin()
    assert marks.of("q") == (0, 9)
    assert marks.of("other") == BOTTOM
