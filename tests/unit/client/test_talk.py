"""What a client says, and when it says it again: plans, driven here by hand."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import pytest

from headrace.client.exchange import Answer, Pause, Plan, Request
from headrace.client.talk import Talk
from headrace.errors import (
    GatewayError,
    HeadraceError,
    JobCancelled,
    JobDead,
    JobNotFound,
    QueueFull,
    ResultTimeout,
)
from headrace.ids import Ids
from headrace.testing.clock import ManualClock

T = TypeVar("T")

GONE = Answer(0, trouble="connection reset")


def told(status: int = 200, **members: Any) -> Answer:
    job = {"id": "1", "state": "ready", "task": "add", "queue": "q", **members}
    return Answer(status, {}, msgspec.json.encode(job))


def problem(status: int, kind: str, retry_after: str = "") -> Answer:
    headers = {"retry-after": retry_after} if retry_after else {}
    return Answer(status, headers, msgspec.json.encode({"type": f"/v1/problems/{kind}"}))


class Line:
    """Runs plans: gives prepared answers, and lets the time of pauses pass."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.talk = Talk(self.clock, Ids(seed=1), patience=30.0)
        self.said: list[Request] = []
        self.pauses: list[float] = []

    def run(self, plan: Plan[T], *answers: Answer) -> T:
        waiting, given = list(answers), None
        try:
            while True:
                step = plan.send(given)
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.clock.advance(step.seconds)
                    given = None
                else:
                    self.said.append(step)
                    given = waiting.pop(0)
        except StopIteration as end:
            assert not waiting
            outcome: T = end.value
            return outcome


@pytest.fixture
def line() -> Line:
    return Line()


def submit(line: Line) -> Plan[Any]:
    return line.talk.submit("add", {"left": 1}, {"queue": "q", "callback": "https://a"}, None)


def test_a_submit_says_task_arguments_options_and_a_key_of_its_own(line: Line) -> None:
    assert line.run(submit(line), told(202)).id == "1"
    (request,) = line.said
    assert request.body is not None
    assert msgspec.json.decode(request.body) == {
        "task": "add",
        "arguments": {"left": 1},
        "options": {"queue": "q", "callback": "https://a"},
    }
    assert request.headers["Idempotency-Key"].startswith('"0')


@pytest.mark.parametrize(
    "trouble",
    [GONE, problem(503, "queue-full"), Answer(502), problem(409, "idempotency-in-progress")],
)
def test_what_fails_for_a_while_is_sent_again_with_the_same_key(
    line: Line, trouble: Answer
) -> None:
    line.run(submit(line), trouble, trouble, told(202))
    assert len({request.headers["Idempotency-Key"] for request in line.said}) == 1
    assert len(line.pauses) == 2


def test_the_gateway_says_when_to_come_again(line: Line) -> None:
    line.run(submit(line), problem(429, "quota-exceeded", "4"), told(202))
    assert line.pauses == [4.0]


def test_pauses_grow_and_differ_but_have_a_limit(line: Line) -> None:
    line.talk = Talk(line.clock, Ids(seed=1), patience=1000.0)
    line.run(submit(line), *[GONE] * 40, told(202))
    assert all(0.5 <= pause <= 10.0 for pause in line.pauses)
    assert len(set(line.pauses)) > 10


def test_patience_ends(line: Line) -> None:
    with pytest.raises(QueueFull):
        line.run(submit(line), *[problem(503, "queue-full", "9")] * 50)
    assert line.pauses == [9.0, 9.0, 9.0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(403, "forbidden"), GatewayError),
        (problem(404, "not-found"), JobNotFound),
        (problem(422, "idempotency-key-reused"), GatewayError),
        (problem(500, "internal-error"), GatewayError),
    ],
)
def test_what_will_not_change_is_said_once(
    line: Line, answer: Answer, error: type[HeadraceError]
) -> None:
    with pytest.raises(error):
        line.run(submit(line), answer)
    assert line.pauses == []


def test_an_answer_that_is_none_is_not_understood(line: Line) -> None:
    with pytest.raises(GatewayError, match="not understood"):
        line.run(submit(line), Answer(200, {}, b"<html>"))


def test_many_calls_are_one_request(line: Line) -> None:
    body = msgspec.json.encode({"jobs": [msgspec.json.decode(told().body)] * 2})
    jobs = line.run(line.talk.submit_many([{"task": "add"}] * 2, "a"), Answer(202, {}, body))
    assert len(jobs) == 2
    assert line.said[0].headers["Idempotency-Key"] == '"a"'


def test_waiting_asks_until_the_job_is_finished(line: Line) -> None:
    done = told(state="succeeded", result=3)
    assert line.run(line.talk.wait("1", None), told(), told(), done).result == 3
    assert [request.query for request in line.said] == [(("wait", "25"),)] * 3


def test_waiting_ends_in_time(line: Line) -> None:
    plan = line.talk.wait("1", 0)
    with pytest.raises(ResultTimeout, match="is ready"):
        line.run(plan, told())
    assert line.said[0].query == (("wait", "0"),)


def test_a_result_that_is_no_part_of_the_job_is_fetched(line: Line) -> None:
    answers = told(state="succeeded"), Answer(200, {}, b"[1,2]")
    assert line.run(line.talk.result("1", None), *answers) == [1, 2]
    assert line.said[1].path == "/v1/jobs/1/result"


@pytest.mark.parametrize(("state", "error"), [("dead", JobDead), ("cancelled", JobCancelled)])
def test_a_job_without_a_result_raises_its_cause(
    line: Line, state: str, error: type[Exception]
) -> None:
    failure = {"cause": "attempts-spent", "type": "ValueError", "message": "no"}
    with pytest.raises(error, match="attempts-spent: ValueError: no"):
        line.run(line.talk.result("1", None), told(state=state, failure=failure))


def test_a_job_id_is_a_part_of_the_path_whatever_it_is(line: Line) -> None:
    line.run(line.talk.change("../a", "cancel"), told())
    assert line.said[0].path == "/v1/jobs/..%2Fa/cancel"


def test_a_list_is_asked_for_by_filters_and_token(line: Line) -> None:
    empty = Answer(200, {}, b'{"jobs":[]}')
    line.run(line.talk.page({"state": ["dead", "cancelled"], "queue": "q"}, "t"), empty)
    assert line.said[0].query == (
        ("state", "dead"), ("state", "cancelled"), ("queue", "q"), ("page_token", "t"),
    )  # fmt: skip
