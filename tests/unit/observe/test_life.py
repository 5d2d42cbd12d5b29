"""What a job went through is told from what the ledger keeps of it."""

from __future__ import annotations

from msgspec.structs import replace

from headrace.observe.life import Life, grow, steps_of
from headrace.record import Failure, State
from headrace.trace import PARENT, of_run
from tests.unit.observe.past import BEGAN, CALLER, HOOK, NOW, PAGE, RECORDS, REPORT, failed


def kinds(life: Life) -> list[str]:
    return [step.kind for step in life.steps]


def test_children_are_below_the_job_whose_run_they_come_from() -> None:
    (life,) = grow(RECORDS, NOW)
    assert life.record is REPORT
    assert [child.record for child in life.children] == [PAGE, HOOK]


def test_a_job_whose_parent_is_gone_begins_by_itself() -> None:
    assert [life.record for life in grow((HOOK, PAGE), NOW)] == [PAGE, HOOK]


def test_jobs_that_call_each_other_parents_are_drawn_once() -> None:
    lonely = replace(REPORT, message=replace(REPORT.message, headers={PARENT: REPORT.id}))
    assert grow((lonely,), NOW) == ()


def test_waits_and_runs_follow_each_other() -> None:
    (life,) = grow((REPORT,), NOW)
    kinds_of = ["request", "wait", "failed", "wait", "failed", "failed", "wait", "run"]
    assert kinds(life) == kinds_of
    for before, after in zip(life.steps, life.steps[1:], strict=False):
        assert before.end == after.start
    assert life.steps[-1].end == BEGAN + 9.5


def test_each_run_has_a_span_and_knows_the_one_before() -> None:
    runs = [step for step in steps_of(REPORT, NOW) if step.number]
    spans = [run.span for run in runs]
    assert len(set(spans)) == 4
    assert [run.before for run in runs] == ["", *spans[:-1]]
    request = steps_of(REPORT, NOW)[0]
    assert {run.parent for run in runs} == {request.span}
    assert request.parent == CALLER
    assert spans[0] == of_run(REPORT.message, 1).span_id, "what the worker called it"


def test_a_child_belongs_to_the_run_that_went_on_when_it_came() -> None:
    (life,) = grow(RECORDS, NOW)
    last = life.steps[-1]
    assert [child.steps[0].parent for child in life.children] == [last.span, last.span]


def test_a_job_that_waits_or_runs_goes_on() -> None:
    assert [(s.kind, s.ongoing, s.note) for s in steps_of(PAGE, NOW)][1:] == [
        ("wait", True, "queue-paused")
    ]
    running = replace(PAGE, state=State.RUNNING, attempt=1)
    (step,) = steps_of(running, NOW)[1:]
    assert (step.kind, step.ongoing, step.number, step.end) == ("run", True, 1, NOW)


def test_a_success_of_unknown_length_is_one_step() -> None:
    old = replace(REPORT, seconds=None, history=())
    (step,) = steps_of(old, NOW)[1:]
    assert (step.kind, step.note) == ("run", "begin unknown")


def test_a_job_that_ended_while_it_waited_says_why() -> None:
    cancelled = replace(
        PAGE, state=State.CANCELLED, finished_at=BEGAN + 11, failure=Failure(cause="cancelled")
    )
    (step,) = steps_of(cancelled, NOW)[1:]
    assert (step.kind, step.end, step.note) == ("wait", BEGAN + 11, "cancelled")


def test_a_redrive_is_no_run() -> None:
    again = replace(HOOK, history=(*HOOK.history, failed(1, 11.0, None, "redriven")))
    again = replace(again, state=State.READY, finished_at=None, attempt=0)
    told = [(step.kind, step.note) for step in steps_of(again, NOW)][3:]
    assert told == [("wait", "redriven"), ("wait", "ready")]


def test_clocks_that_disagree_do_not_make_time_run_backwards() -> None:
    early = replace(REPORT, accepted_at=BEGAN - 5, finished_at=BEGAN + 1, seconds=100.0)
    for step in steps_of(early, NOW):
        assert step.start <= step.end
