"""What a client orders is checked against the task, and says where it does not fit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.app import App
from headrace.errors import PayloadTooLarge
from headrace.gateway.caller import ANONYMOUS, Caller
from headrace.gateway.handover.draft import called, chosen, ordered
from headrace.gateway.handover.options import Wishes
from headrace.gateway.problem import Problem

TENANT = Caller(name="k1", tenant="acme", scopes=frozenset({"jobs:submit"}), queues=("box*",))


def order(app: App, caller: Caller = ANONYMOUS, **members: Any) -> Any:
    return ordered(app, msgspec.json.encode(members), caller)


def test_an_order_is_a_message_to_be(app: App) -> None:
    options = {"priority": 3, "tags": ["a"], "timeout": None}
    draft = order(app, task="add", arguments={"left": 1}, options=options)
    message = draft.message("id")
    assert (message.task, bytes(message.body), message.queue) == ("add", b'{"left":1}', "default")
    assert (message.priority, message.tags) == (3, ("a",))


def test_a_tenants_job_has_its_tag(app: App) -> None:
    draft = order(app, TENANT, task="boxes.pack", arguments={"box": {"width": 1}})
    assert draft.message("id").tags == ("tenant:acme",)


def test_a_queue_that_is_not_the_callers_is_forbidden(app: App) -> None:
    with pytest.raises(Problem, match="in queue default") as caught:
        order(app, TENANT, task="add", arguments={"left": 1})
    assert caught.value.status == 403
    with pytest.raises(Problem, match="in queue mail"):
        chosen(app.registry.get("boxes.pack"), Wishes(queue="mail"), TENANT, app)


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({}, "/task"),
        ({"task": 1}, "/task"),
        ({"task": "ad"}, "/task"),
        ({"task": "add", "argument": {}}, "/argument"),
        ({"task": "add"}, "/arguments/left"),
        ({"task": "add", "arguments": []}, "/arguments"),
        ({"task": "add", "arguments": {"left": "1"}}, "/arguments/left"),
        ({"task": "add", "arguments": {"left": 1, "rihgt": 2}}, "/arguments/rihgt"),
        (
            {"task": "boxes.pack", "arguments": {"box": {"width": 1, "sides": [1, ""]}}},
            "/arguments/box/sides/1",
        ),
        (
            {"task": "boxes.pack", "arguments": {"box": {"width": 1, "labels": {"a": 1}}}},
            "/arguments/box/labels",
        ),
        ({"task": "add", "options": {"prioritty": 1}}, "/options/prioritty"),
        ({"task": "add", "options": {"retry": {"attempts": "1"}}}, "/options/retry/attempts"),
        ({"task": "add", "options": {"retention": {"dead": -1}}}, "/options/retention"),
        ({"task": "add", "options": {"queue": "a b"}}, "/options/queue"),
    ],
)
def test_what_does_not_fit_is_pointed_to(app: App, members: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        ordered(app, msgspec.json.encode(members), ANONYMOUS, "/jobs/0")
    assert caught.value.status == 422
    (error,) = caught.value.members["errors"]
    assert error["pointer"] == "/jobs/0" + pointer
    assert error["detail"]


def test_an_unknown_task_is_a_kind_of_its_own(app: App) -> None:
    with pytest.raises(Problem, match="close are add") as caught:
        order(app, task="ad")
    assert caught.value.kind == "unknown-task"


def test_arguments_are_checked_like_those_of_a_submit(app: App) -> None:
    echo = app.registry.get("echo")
    assert called(echo, b' { "value" : 1.0 } ').body == b'{"value":1.0}'
    with pytest.raises(PayloadTooLarge):
        called(echo, b'{"value": "%b"}' % (b"x" * 300_000))
